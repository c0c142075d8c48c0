# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What Linux prints when it stops: the function that it was in, and who had called that.

Source: Linux ``arch/x86/kernel/dumpstack.c``. A name with a question mark was found on the stack, and need
not have called anybody; the lines of interrupts between ``<IRQ>`` and ``</IRQ>`` are calls like others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RIP = re.compile(r"\bRIP: \d+:(\S+\+0x[0-9a-f]+/0x[0-9a-f]+)")
_TRACE = re.compile(r"Call Trace:")
_STAMP = r"^(?:<\d+>)?(?:\[ *\d+\.\d+\] )? *"
_CALL = re.compile(_STAMP + r"(?P<guess>\? )?(?P<name>[\w.]+\+0x[0-9a-f]+)/0x[0-9a-f]+")
_INSIDE = re.compile(_STAMP + r"</?[A-Z]+>")
_LINES = 12
"""The function stands at most so many lines behind the first one."""
_MOST_LINES = 60
_MOST_CALLS = 12


@dataclass(frozen=True)
class Oops:
    """``function``: ``name+0x7f/0x120``, "" where none is named; ``calls``: the innermost caller first."""

    function: str = ""
    calls: tuple[str, ...] = ()


def oops_behind(console: str, line: str) -> Oops:
    """Return what the console says behind the first ``line`` of an oops or a panic; empty for nothing."""
    lines = console.partition(line)[2].splitlines()[1 : _MOST_LINES + 1]
    found = _RIP.search("\n".join(lines[:_LINES]))
    return Oops(found[1] if found is not None else "", tuple(_calls(lines)[:_MOST_CALLS]))


def _calls(lines: list[str]) -> list[str]:
    """Return the calls of the first call trace."""
    at = next((number for number, line in enumerate(lines) if _TRACE.search(line)), None)
    calls: list[str] = []
    for line in lines[at + 1 :] if at is not None else ():
        if _INSIDE.match(line):
            continue
        match = _CALL.match(line)
        if match is None:
            break
        if not match["guess"]:
            calls.append(match["name"])
    return calls
