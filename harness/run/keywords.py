# SPDX-License-Identifier: BSD-2-Clause-Patent
"""pytest's ``-k`` expressions, evaluated before there are items: to say which cells they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

# pytest has no public name for it; its own -k must mean the same.
from _pytest.mark.expression import Expression

from harness.errors import HarnessError

_OWN_MARKS = frozenset({"timeout", "xfail"})

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from harness.matrix.cell import Cell


def compiled(text: str) -> Expression:
    """Read an expression such as ``6.12 and not plain``; HarnessError for one that is wrong."""
    try:
        return Expression.compile(text)
    except SyntaxError as error:
        raise HarnessError(f"-k {text}: {error.msg}", 'write such as -k "6.12 and not plain"') from None


def about(expression: Expression, names: Iterable[str]) -> bool:
    """Return whether an expression holds where each of its words is looked for in ``names``."""
    lower = [name.lower() for name in names]
    return expression.evaluate(lambda word, /, **_: any(word.lower() in name for name in lower))


def tagged(text: str, tags: Collection[str]) -> bool:
    """Return whether ``-m`` may select a check of a scenario with these tags.

    Checks have marks of their own, too: what speaks of these, or is wrong, is left to pytest.
    """
    try:
        expression = Expression.compile(text)
    except SyntaxError:
        return True
    if not _OWN_MARKS.isdisjoint(expression.idents()):
        return True
    return expression.evaluate(lambda word, /, **_: word in tags)


def also_taken(expression: Expression | None, cells: Sequence[Cell]) -> list[str]:
    """Return a line for each word of ``-k`` that is a whole name and took longer names, too."""
    lines = []
    for word in expression.idents() if expression is not None else ():
        for axis in ("firmware", "kernel", "loader", "guest", "emulation", "qemu"):
            names = {getattr(cell, axis) for cell in cells}
            longer = sorted(name for name in names if word in name and name != word)
            if word in names and longer:
                lines.append(f"-k {word} also took {', '.join(longer)}; --cell {axis}={word} takes it alone")
    return lines
