# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Questions about source code: who knows a technology or a platform by its name."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.support.house import walked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

KNOWING = ("platforms", "evidence", "checks", "artifacts")
"""Rooms that may speak of SNP: it is what they are about."""
SNP_MODULES = 3
"""How many modules elsewhere may."""


def modules_that_say(word: str, package: Path) -> list[str]:
    """Return the modules outside of the rooms in ``KNOWING`` with a word in them, in any case."""
    return [
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0] not in KNOWING and word in path.read_text().lower()
    ]


def compared_names(names: Collection[str], package: Path) -> list[str]:
    """Return where a module outside of ``platforms/`` compares with one of ``names``, or lists them.

    A comparison: ``==``, ``!=``, ``in (…)``, a ``case``. A list: a ``Literal`` with two of them.
    """
    return [
        f"{path.relative_to(package)}:{line}: {name}"
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0] != "platforms"
        for line, name in _compared(walked(path.read_text()), names)
    ]


def _compared(nodes: Iterable[ast.AST], names: Collection[str]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        match node:
            case ast.Compare():
                found = _texts([node.left, *node.comparators]) & {*names}
            case ast.MatchValue():
                found = _texts([node.value]) & {*names}
            case ast.Subscript(value=ast.Name(id="Literal")):
                found = _texts([node.slice]) & {*names}
                found = found if len(found) > 1 else set()
            case _:
                continue
        yield from ((node.lineno, name) for name in sorted(found))


def _texts(nodes: Iterable[ast.expr]) -> set[str]:
    """Return the texts that expressions are, or that their displays (a set, a tuple, a dict's keys) hold."""
    found: set[str] = set()
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)):
                found.add(text)
            case ast.Set(elts=items) | ast.Tuple(elts=items) | ast.List(elts=items):
                found |= _texts(items)
            case ast.Dict(keys=keys):
                found |= _texts(key for key in keys if key is not None)
    return found
