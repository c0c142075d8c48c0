# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What shows the firmware's own acceptance, whatever it started: attributes of memory, its debug console."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.finding import Check, Needs, Problem
from harness.evidence.memory_map import USABLE_TYPES
from harness.evidence.problems import EvidenceError
from harness.evidence.record import ConsoleSize
from harness.machine.memory_layout import FOUR_GIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence

CONVENTIONAL = "Conventional"
_ACCEPTING = "Accepting all memory"
"""What AmdSevDxe prints when it accepts what is left (DEBUG_INFO: in DEBUG builds only)."""
_DXE = re.compile(r"^(?:Loading driver at 0x|InstallProtocolInterface: )", re.MULTILINE)
"""What the DXE core prints all the time (DEBUG_LOAD and DEBUG_INFO, MdeModulePkg/Core/Dxe)."""


def _attributes(evidence: Evidence) -> Iterator[Problem]:
    """Ask that usable memory can be cached, and that it is alike below and above 4 GiB.

    Memory that was unaccepted goes back into the map with attributes that the firmware has to choose.
    """
    usable = [entry for entry in evidence.memory_map if entry.type in USABLE_TYPES]
    if uncached := [entry.line for entry in usable if "WB" not in entry.attributes]:
        yield Problem(
            "not-cacheable",
            "usable memory cannot be cached: it lacks the attribute WB",
            *uncached,
            entries=len(uncached),
        )
    entries = [entry for entry in usable if entry.type == CONVENTIONAL]
    usual = {entry.attributes for entry in entries if entry.start < FOUR_GIB}
    if odd := [entry for entry in entries if entry.start >= FOUR_GIB and entry.attributes not in usual]:
        below = sorted({" ".join(sorted(words)) for words in usual})
        yield Problem(
            "other-attributes",
            f"ordinary memory has other attributes than below 4 GiB ({'; '.join(below)})",
            *(entry.line for entry in odd),
            entries=len(odd),
        )


def _said(evidence: Evidence, most: int) -> Iterator[Problem]:
    """Read what the firmware says on its debug console or, as some builds do, on the serial one."""
    record = evidence.record
    if record.consoles.get("debugcon", ConsoleSize(0, 0)).dropped:
        raise EvidenceError("the debug console was cut", *record.left_out)
    log = f"{record.debugcon_text}\n{record.serial_text}"
    if not _DXE.search(log):
        raise EvidenceError("the firmware has DEBUG output, but no console shows any", evidence.end)
    lines = [line for line in log.splitlines() if _ACCEPTING in line]
    if len(lines) > most:
        yield Problem(
            "said-accepting",
            f"the firmware accepted all memory {len(lines)} times, {most} at most may be",
            *lines,
            times=len(lines),
            most=most,
        )


def _once(evidence: Evidence) -> Iterator[Problem]:
    yield from _said(evidence, most=1)


def _never(evidence: Evidence) -> Iterator[Problem]:
    yield from _said(evidence, most=0)


MEMORY_ATTRIBUTES = Check(
    "memory-attributes", "Has memory at 4 GiB and above the usual attributes?", _attributes, Needs.MAP
)
ACCEPTS_ONCE_AT_EXIT = Check(
    "accepts-once-at-exit",
    "Does the firmware say at most once that it accepted all memory?",
    _once,
    Needs.FIRMWARE_LOG,
)
ACCEPTS_NOTHING_AT_EXIT = Check(
    "accepts-nothing-at-exit",
    "Is the firmware silent about accepting all memory?",
    _never,
    Needs.FIRMWARE_LOG,
)
