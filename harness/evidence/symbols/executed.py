# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which code of the firmware's modules a boot executed, by QEMU's log of what it translated.

QEMU translates a block of code when the guest comes to it for the first time (``-d in_asm``), and writes its
address and its bytes: that costs next to nothing. A block whose bytes are not the module's is somebody
else's, such as a program's at an address that was a module's before. An exception in the middle of a block,
which then is not executed to its end, does not show.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from harness.evidence.symbols.firmware import symbols_of
from harness.intervals import IntervalSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.evidence.symbols.debug_file import DebugFile
    from harness.evidence.symbols.modules import Module, Modules

COVERAGE_LOG = "coverage.log"
"""In the record of a boot with coverage."""
COVERAGE_WORDS = ("-d", "in_asm", "-D", COVERAGE_LOG, "-dfilter", "0x0..0xffffffff")
"""What QEMU is started with; above 4 GiB there is no firmware."""
_BLOCK = re.compile(r"^0x([0-9a-f]+): *\n((?:OBJD-T: [0-9a-f]+\n)+)", re.MULTILINE)
_BEFORE = 4
"""Modules before an address that may reach it, where one was loaded over another's place."""
_RELOCATED = 8
"""Bytes that a loader may have changed in one block."""


def blocks(log: str) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks of a log: address and bytes; one that is translated again comes again."""
    for match in _BLOCK.finditer(log):
        yield int(match[1], 16), bytes.fromhex(match[2].replace("OBJD-T: ", "").replace("\n", ""))


def executed(log: str, modules: Modules, files: Mapping[str, DebugFile]) -> dict[DebugFile, IntervalSet]:
    """Return by module the offsets that a boot executed; modules without symbols are left out."""
    found: dict[DebugFile, list[tuple[int, int]]] = {}
    with_symbols = [
        (module, file) for module in modules.all if (file := symbols_of(module, files)) is not None
    ]
    bases = [module.base for module, _ in with_symbols]
    for address, code in set(blocks(log)):
        at = bisect_right(bases, address)
        for module, file in reversed(with_symbols[max(0, at - _BEFORE) : at]):
            if _has(module, file, address, code):
                offset = address - module.base
                found.setdefault(file, []).append((offset, offset + len(code)))
                break
    return {file: IntervalSet.of(ranges) for file, ranges in found.items()}


def _has(module: Module, file: DebugFile, address: int, code: bytes) -> bool:
    """Return whether a module has a block's bytes at its place, but for what a loader corrected."""
    start, text = file.text
    at = address - module.base - start
    there = text[at : at + len(code)] if at >= 0 else b""
    return len(there) == len(code) and sum(a != b for a, b in zip(there, code, strict=True)) <= _RELOCATED
