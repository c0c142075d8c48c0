# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the firmware itself says of each range that it makes private: lines of DEBUG builds that ask for them.

Behind such a line are the page state change and PVALIDATE of the whole range, and a firmware that fails in
either does not go on: its strength is ``per range``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.intervals import IntervalSet

_LINE = re.compile(
    r"InternalSetPageState Address 0x(?P<start>[0-9a-fA-F]+) - 0x(?P<end>[0-9a-fA-F]+) State = (?P<to>\w+)"
)
"""edk2, OvmfPkg/Library/BaseMemEncryptSevLib (DEBUG_VERBOSE, from 202605 on DEBUG_PAGING)."""


@dataclass(frozen=True)
class FirmwareLines:
    """Ranges that the firmware says to have made private, in bytes; ``lines`` counts them."""

    private: IntervalSet
    lines: int


def parse_firmware_lines(log: str) -> FirmwareLines:
    """Return what a debug console says; without any line, nothing is known."""
    found = [it for it in _LINE.finditer(log) if it["to"] == "Private"]
    ranges = IntervalSet.of((int(it["start"], 16), int(it["end"], 16)) for it in found)
    return FirmwareLines(ranges, len(found))
