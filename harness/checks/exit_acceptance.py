# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Who accepts around the exit: the firmware, by attributes of memory and debug console; then the guest."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from harness.checks.finding import Check, Needs, Problem
from harness.evidence.ledger_model import covered
from harness.evidence.memory_map import USABLE_TYPES
from harness.evidence.problems import EvidenceError
from harness.evidence.record import ConsoleSize
from harness.intervals import IntervalSet
from harness.machine.memory_layout import FOUR_GIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence

CONVENTIONAL = "Conventional"
_ACCEPTING = "Accepting all memory"
"""What AmdSevDxe prints when it accepts what is left (DEBUG_INFO: in DEBUG builds only)."""
_GUESTS = frozenset({"loader", "efi-stub", "kernel"})
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


def _guest_accepts(evidence: Evidence) -> Iterator[Problem]:
    """Ask that after the exit the probe validated what it says, asked for each page, and no other.

    What it validates twice is found by validated-once.
    """
    ledger, own = evidence.ledger, evidence.probe.own
    since = ledger.handover or sys.maxsize
    events = [event for event in ledger.events if event.line > since and event.phase in _GUESTS]
    done = covered(event for event in events if event.op == "validate")
    asked = covered(event for event in events if event.op == "psc-private")
    said = IntervalSet.span(own.start, own.start + own.size) if own is not None else IntervalSet()
    if missing := said - done:
        what = f"{missing.amount} that the loader says it accepted were not validated: {missing}"
        yield Problem("not-accepted", what, bytes=missing.size, phase="loader")
    if extra := (done | asked) - said:
        what = f"the loader accepted {extra.amount} beyond what it says: {extra}"
        yield Problem("accepted-beyond", what, bytes=extra.size, phase="loader")
    if unasked := done - asked:
        what = f"the loader validated {unasked.amount} without a page state change: {unasked}"
        yield Problem("validated-unasked", what, bytes=unasked.size, phase="loader")


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
GUEST_ACCEPTS_EXACTLY = Check(
    "guest-accepts-exactly",
    "Did the loader itself accept exactly what it says, and ask the host first?",
    _guest_accepts,
    Needs.LEDGER,
)
