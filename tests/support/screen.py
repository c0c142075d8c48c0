# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a terminal shows of what a program has written to it."""

from __future__ import annotations

import re


def screen(written: str, width: int) -> list[str]:
    """Return the lines of a terminal that was sent a text: what is needed of one, and no more."""
    rows, row, column = [""], 0, 0
    for match in re.finditer(r"\x1b\[(\??[\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]", written):
        command = match[2]
        if command == "A":
            row -= int(match[1] or 1)
        elif command == "K":
            rows[row] = "" if match[1] == "2" else rows[row][:column]
        elif match[0] == "\r":
            column = 0
        elif match[0] == "\n":
            row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        elif command is None:
            assert column < width, f"wider than the terminal: {rows[row]!r}"
            rows[row] = rows[row][:column].ljust(column) + match[0] + rows[row][column + 1 :]
            column += 1
        else:
            assert command in "mhl", match[0]
    return [line.rstrip() for line in rows]
