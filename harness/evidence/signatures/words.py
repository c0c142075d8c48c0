# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Plain words that a line must hold for a pattern to find it: looking for words is much faster.

A boot prints 30,000 lines and more, and few of them are looked at with a regular expression then.
"""

from __future__ import annotations

import re

_SHORTEST = 3
_SIGN = re.compile(r"\\[^A-Za-z0-9]|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[^}]*\}|.", re.DOTALL)
_PLAIN_ESCAPE = re.compile(r"\\[^A-Za-z0-9]")
_FLAGS = re.compile(r"\(\?[a-zA-Z]+[):]")
_MAYBE = ("?", "*", "{")


def words_of(pattern: str) -> frozenset[str] | None:
    """Return words of which each line that a regular expression finds holds one, None where none is sure.

    The longest plain run of each alternative outside of groups; flags and verbose patterns have no sure word.
    """
    words = []
    for runs in _alternatives(_SIGN.findall(pattern)):
        longest = max(runs, key=len, default="")
        if len(longest) < _SHORTEST or _FLAGS.match(pattern):
            return None
        words.append(longest)
    return frozenset(words)


def _alternatives(signs: list[str]) -> list[list[str]]:
    """Return the plain runs of characters of each alternative at the pattern's top."""
    found: list[list[str]] = []
    runs: list[str] = []
    run, depth = "", 0
    for sign, following in zip(signs, [*signs[1:], ""], strict=True):
        plain = (len(sign) == 1 and sign not in r"().|?*+^$") or _PLAIN_ESCAPE.fullmatch(sign) is not None
        if depth == 0 and plain and not following.startswith(_MAYBE):
            run += sign[-1]
            continue
        runs, run = [*runs, run], ""
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and sign == "|":
            found, runs = [*found, runs], []
    return [*found, [*runs, run]]
