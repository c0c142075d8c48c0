# SPDX-License-Identifier: BSD-2-Clause-Patent
"""All checks that there are, by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from harness import checks
from harness.checks.finding import Check
from harness.documents.document import near
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def all_checks() -> Mapping[str, Check]:
    """Return every check that a module of this package defines, by name, in the order of the names."""
    modules = [import_module(found.name) for found in iter_modules(checks.__path__, f"{checks.__name__}.")]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Check)]
    return {check.name: check for check in sorted(found, key=lambda check: check.name)}


def check_names() -> frozenset[str]:
    """Return the name of every check that a module of this package defines."""
    return frozenset(all_checks())


def check_named(name: str) -> Check:
    """Return a check; HarnessError for a name that is not there."""
    if name not in (known := all_checks()):
        raise HarnessError(f"unknown check {name!r}; {near(name, sorted(known))}")
    return known[name]
