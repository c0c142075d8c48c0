# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The names of all checks that there are."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from harness import checks
from harness.checks.finding import Check


@cache
def check_names() -> frozenset[str]:
    """Return the name of every check that a module of this package defines."""
    modules = [import_module(found.name) for found in iter_modules(checks.__path__, f"{checks.__name__}.")]
    return frozenset(
        value.name for module in modules for value in vars(module).values() if isinstance(value, Check)
    )
