# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The platforms that there are: those of this folder, and those of other packages.

A module here that has a ``PLATFORM`` adds it. Another package names its object as an entry point of the group
``ovmf_acceptance.platforms``, under the platform's name.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import TYPE_CHECKING

import harness.platforms as room
from harness.documents.document import near
from harness.errors import HarnessError
from harness.extensions import extensions
from harness.platforms.platform import trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.platforms.platform import Platform

_MEND = "mend the package that adds it"


@cache
def platforms() -> Mapping[str, Platform]:
    """Return every platform by name.

    Raises HarnessError for an entry point that is no platform, has another's name, or falls back to none.
    """
    modules = [import_module(found.name) for found in iter_modules(room.__path__, f"{room.__name__}.")]
    own: list[Platform] = [module.PLATFORM for module in modules if hasattr(module, "PLATFORM")]
    found = {each.name: each for each in own}
    for name, given in extensions("platforms").items():
        reason = trouble(given)
        if not reason and given.name != name:
            reason = f"its name is {given.name!r}"
        if not reason and name in found:
            reason = "the harness has a platform of this name"
        if reason:
            raise HarnessError(f"platforms: the entry point {name!r}: {reason}", _MEND)
        found[name] = given
    for each in found.values():
        _refuse_lost(each, found)
    return MappingProxyType(found)


def platform_named(name: str, asked_by: str = "") -> Platform:
    """Return a platform; HarnessError for a name that this installation does not know.

    ``asked_by``: who names it, such as a record's folder, for the message.
    """
    if (found := platforms().get(name)) is not None:
        return found
    raise HarnessError(
        f"{asked_by + ': ' if asked_by else ''}unknown platform {name!r}; {near(name, platforms())}",
        "install the package that adds it, or correct the name",
    )


def chain(platform: Platform) -> tuple[Platform, ...]:
    """Return a platform and those that take its cells where a host lacks something, in order."""
    after = platform.falls_back_to
    return (platform, *(() if after is None else chain(platforms()[after])))


def _refuse_lost(platform: Platform, known: Mapping[str, Platform]) -> None:
    """Raise HarnessError when a platform's fall-backs leave the known ones, or go in a circle."""
    seen = [platform.name]
    while (after := known[seen[-1]].falls_back_to) is not None:
        if after not in known or after in seen:
            what = "which comes back to it" if after in known else "which is not there"
            raise HarnessError(f"platforms: {seen[-1]!r} falls back to {after!r}, {what}", _MEND)
        seen.append(after)
