# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The few instructions that say why a guest stopped, by their bytes (APM volume 3); others as bytes."""

from __future__ import annotations

_KNOWN = {
    b"\xf2\x0f\x01\xff": "pvalidate",
    b"\xf3\x0f\x01\xfe": "rmpadjust",
    b"\xf3\x0f\x01\xd9": "vmgexit",
    b"\x0f\x01\xd9": "vmmcall",
    b"\x0f\x0b": "ud2, as a BUG has it",
    b"\xf4": "hlt",
    b"\xfa\xf4": "cli, then hlt",
    b"\xeb\xfe": "a jump to itself",
    b"\x0f\xa2": "cpuid",
    b"\x0f\x32": "rdmsr",
    b"\x0f\x30": "wrmsr",
    b"\xf3\x48\xa5": "rep movsq",
    b"\xf3\xa4": "rep movsb",
    b"\xf3\x48\xab": "rep stosq",
    b"\xf3\xaa": "rep stosb",
    b"\xf3\x90": "pause",
}
_SHOWN = 8


def instruction(code: bytes) -> str:
    """Return the first instruction of some code by name, or its bytes; "" for no code."""
    name = next((_KNOWN[code[:size]] for size in (4, 3, 2, 1) if code[:size] in _KNOWN), "")
    if name:
        return f"instruction {name}"
    return f"code {code[:_SHOWN].hex(' ')}" if code else ""
