# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Cells as a user writes them: ``firmware=debian-2025.02,kernel=debian-6.12,memory=8G,cmdline="a,b"``.

Axes have the names that scenarios use. A value that holds a comma, a quote or a backslash stands in double
quotes, in which a backslash makes the next quote or backslash an ordinary character; single quotes take all
that is between them as it is.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from harness.documents.document import near
from harness.errors import HarnessError
from harness.matrix.cell import AXES, TABLE

if TYPE_CHECKING:
    from harness.matrix.cell import Cell

FORM = "firmware=NAME,kernel=NAME,memory=SIZE,…"


def read_form(text: str) -> dict[str, str]:
    """Return the text of each axis that is written; HarnessError for what is no axis, or is written twice."""
    found: dict[str, str] = {}
    for word in _words(text):
        axis, equals, value = word.partition("=")
        if not equals:
            raise HarnessError(
                f"{text}: {word!r} is no AXIS=VALUE",
                'put a value that holds a comma in double quotes: cmdline="console=ttyS0,115200"',
            )
        if axis not in AXES:
            raise HarnessError(f"{text}: unknown axis {axis!r}", near(axis, AXES))
        if axis in found:
            raise HarnessError(f"{text}: {axis} is written twice", "leave one of them out")
        found[axis] = value
    return found


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = ",", True, ""
    try:
        return list(lexer)
    except ValueError as error:
        raise HarnessError(f"{text}: {error}".lower(), "close the quote") from None


def write_form(cell: Cell) -> str:
    """Return the cell's form, for ``read_form``; axes that have their usual value are left out."""
    values = zip(TABLE, cell.values, strict=True)
    return ",".join(
        f"{axis.name}={_quoted(axis.show(value) if axis.read else str(value))}"
        for axis, value in values
        if value != axis.default
    )


def _quoted(value: str) -> str:
    if not re.search(r"""[,"'\\]""", value):
        return value
    return '"{}"'.format(re.sub(r'(["\\])', r"\\\1", value))
