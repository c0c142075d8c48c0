# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What other packages add to the harness: objects that they name as entry points.

A group is a kind of thing: ``ovmf_acceptance.platforms``, ``ovmf_acceptance.checks``. An entry's name is the
name by which scenarios and command lines use the object. ``ovmf_acceptance.projects`` names packages whose
folders are laid out as projects: they add recipes and guest actions.
"""

from __future__ import annotations

import traceback
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "ovmf_acceptance."


@cache
def extensions(kind: str) -> Mapping[str, Any]:
    """Return the objects of a kind (such as ``platforms``) by name, in the order of their names.

    Raises HarnessError for an entry point that fails to import, and for a name that two packages give.
    """
    found: dict[str, Any] = {}
    packages: dict[str, str] = {}
    for entry in sorted(metadata.entry_points(group=PREFIX + kind), key=lambda entry: entry.name):
        package = entry.dist.name if entry.dist is not None else "an unknown package"
        if entry.name in found:
            raise HarnessError(
                f"{kind}: {entry.name!r} comes from {packages[entry.name]} and from {package}",
                "uninstall one of them, or rename its entry point",
            )
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # whatever a module of somebody else raises
            raise HarnessError(
                f"{_place(error)}{kind}: {entry.name!r} ({entry.value} of {package}) cannot be imported: "
                f"{type(error).__name__}: {error}",
                f"mend or uninstall {package}",
            ) from error
        packages[entry.name] = package
    return found


def _place(error: Exception) -> str:
    """Return ``file:line: `` of the statement of another package that failed; "" when there is none."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [it for it in frames if it.filename != __file__ and "importlib" not in it.filename]
    return f"{theirs[-1].filename}:{theirs[-1].lineno}: " if theirs else ""
