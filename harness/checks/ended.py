# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The first line of a verdict: what happened, in which phase, how long after what, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.finding import Problem
from harness.evidence.problems import EvidenceError
from harness.evidence.record import REGISTERS, EndingKind
from harness.evidence.symbols.modules import modules_of
from harness.intervals import IntervalSet
from harness.machine.memory_layout import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence
    from harness.evidence.ledger_model import Ledger
    from harness.evidence.record import BootRecord, Remark
    from harness.evidence.signatures.signatures import Signature, Signatures
    from harness.evidence.symbols.modules import Modules

_WHAT = {
    EndingKind.COMPLETED: "the guest reported and powered off",
    EndingKind.POWERED_OFF_EARLY: "the guest powered off before it had reported",
    EndingKind.GUEST_PANIC: "the kernel panicked",
    EndingKind.FIRMWARE_ASSERT: "a firmware assertion failed",
    EndingKind.TERMINATED: "the guest was terminated",
    EndingKind.UNVALIDATED_ACCESS: "the guest used an unvalidated page",
    EndingKind.RESET: "the machine was reset",
    EndingKind.HANG: "the guest hung",
    EndingKind.QEMU_EXIT: "QEMU ended",
    EndingKind.UNREACHABLE: "the guest did not answer",
}
_PANICS = {
    "loader": "the loader gave up",
    "stub": "the EFI stub gave up",
    "decompressor": "the kernel's decompressor stopped",
}
_BY_A_LINE = {EndingKind.GUEST_PANIC, EndingKind.FIRMWARE_ASSERT}
_EXCEPTIONS = {"firmware-exception", "firmware-vc"}
_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\] +")
_PREFIX = re.compile(r"^(?:Kernel panic - not syncing: |EFI stub: ERROR: |PANIC: )")
_BEFORE_DEATH = 2.0
"""Seconds; an alarm this shortly before the end is what led to it."""
_BEFORE, _BEHIND, _WIDTH = 4, 6, 200
"""Console lines before and from the last one, and characters of each."""
_EVENTS = 3
_MOST_VCPUS = 4
_NANO = 1e9


def ended(evidence: Evidence) -> Problem:
    """Return the problem that a boot ended too early: the first line says it, the others show it."""
    ending = evidence.record.ending
    what = headline(evidence)
    return Problem("ended", what, *story(evidence), ending=str(ending.kind), phase=ending.phase)


def headline(evidence: Evidence) -> str:
    """Return how a boot ended, in one line."""
    record = evidence.record
    ending, death = record.ending, _death(record)
    t = death.t if death else record.durations.get("boot", 0.0)
    what = _WHAT[ending.kind]
    if ending.kind is EndingKind.GUEST_PANIC:
        what = _PANICS.get(ending.phase, what)
    elif death is not None and death.pattern in _EXCEPTIONS:
        what = "the firmware met an exception"
    reason = _reason(record, death, evidence.signatures)
    return f"{what}, in phase {ending.phase}{_after(evidence, t)}" + (f": {reason}" if reason else "")


def story(evidence: Evidence) -> Iterator[str]:
    """Yield the lines that show how a boot ended.

    What is known of such an end, the page that a fault was about, the phases, a console's last words.
    """
    record = evidence.record
    death = _death(record)
    if not headline(evidence).endswith(record.ending.detail):
        yield record.ending.detail
    found = _explaining(record, death, evidence.signatures)
    if found is not None:
        says = found.says
        yield f"{found.name}: {says.meaning}"
        known = (("cause", says.cause), ("try", says.try_), ("see", says.link))
        yield from (f"{word}: {text}" for word, text in known if text)
    yield from _page(evidence)
    yield from _vcpus(record)
    if phases := _phases(record):
        yield phases
    yield from (f"| {line[:_WIDTH]}" for line in _last_words(record, death))


def _last_words(record: BootRecord, death: Remark | None) -> list[str]:
    """Return the console lines around the one that ended the boot, or the last ones."""
    told = record.debugcon_text if death is not None and death.console == "debugcon" else record.whole_text
    lines = [line for line in told.splitlines() if line.strip()]
    at = next((n for n, line in enumerate(lines) if death and line.strip() == death.line), len(lines) - 1)
    return lines[max(0, at - _BEFORE) : at + _BEHIND]


def _vcpus(record: BootRecord) -> Iterator[str]:
    """Yield where each vCPU was in the end, with the firmware's module where its log names it."""
    modules = _modules(record)
    found = re.findall(r"\b[RE]IP=([0-9a-f]+)", record.bytes_of(REGISTERS).decode(errors="replace"))
    for vcpu, digits in enumerate(found[:_MOST_VCPUS]):
        yield f"vCPU {vcpu} at {_place(int(digits, 16), modules)}"


def _modules(record: BootRecord) -> Modules:
    return modules_of(record.debugcon_text + record.serial_text)


def _place(address: int, modules: Modules) -> str:
    name = modules.name(address)
    return f"{address:#x}" + (f" ({name})" if name else "")


def _page(evidence: Evidence) -> Iterator[str]:
    """Yield what the ledger knows of the page of the last fault: who did what with it."""
    ledger = _ledger(evidence)
    if ledger is None or not ledger.faults:
        return
    fault = ledger.faults[-1]
    page, modules = fault.gpa & ~(PAGE - 1), _modules(evidence.record)
    yield (
        f"ledger line {fault.line}: {fault.op}: {fault.access} of {fault.gpa:#x} "
        f"by {fault.phase} at {_place(fault.rip, modules)}"
    )
    events = [event for event in ledger.events if event.gpa <= page < event.end and event.t <= fault.t]
    for event in events[-_EVENTS:]:
        yield (
            f"ledger line {event.line}: {event.op} of {event.gpa:#x}-{event.end - 1:#x} "
            f"by {event.phase} at {_place(event.rip, modules)}, {(fault.t - event.t) / _NANO:.2f} s before"
        )
    if events:
        return
    if page not in evidence.ram:
        yield f"{page:#x} is no memory of the guest"
        return
    accepted = IntervalSet.of((event.gpa, event.end) for event in ledger.events)
    hole = next(bounds for bounds in evidence.ram - accepted if bounds[0] <= page < bounds[1])
    size = IntervalSet.span(*hole).amount
    yield f"nobody ever accepted the range around it, {hole[0]:#x}-{hole[1] - 1:#x}: {size}"


def _ledger(evidence: Evidence) -> Ledger | None:
    """Return the ledger, None where there is none or a damaged one, which other checks tell."""
    try:
        return evidence.ledger
    except EvidenceError:
        return None


def _death(record: BootRecord) -> Remark | None:
    """Return the remark on the line that ended the boot, None where no line did."""
    if record.ending.kind not in _BY_A_LINE | {EndingKind.TERMINATED}:
        return None
    return next((each for each in record.remarks if each.line == record.ending.last_line), None)


def _explaining(record: BootRecord, death: Remark | None, signatures: Signatures) -> Signature | None:
    """Return the signature of what led to the end: the first alarm shortly before it, or the line itself."""
    led = [] if death is None else [it for it in record.remarks if death.t - _BEFORE_DEATH <= it.t <= death.t]
    for remark in led:
        match = signatures.match(remark.line)
        if match is not None and (match.alarm or match.ends):
            return match.signature
    match = signatures.match(record.ending.last_line)
    if match is not None and record.ending.kind is not EndingKind.HANG and not (match.alarm or match.ends):
        match = None  # an ordinary line that happens to be the last
    if match is None:
        match = signatures.match(record.ending.detail, "qemu")
    return match.signature if match is not None else None


def _reason(record: BootRecord, death: Remark | None, signatures: Signatures) -> str:
    if death is None:
        return record.ending.detail
    if death.pattern in _EXCEPTIONS and "; " in record.ending.detail:
        return record.ending.detail.partition("; ")[2]
    led = [it for it in record.remarks if death.t - _BEFORE_DEATH <= it.t <= death.t]
    alarms = (it for it in led if (match := signatures.match(it.line)) and (match.alarm or match.ends))
    line = next(alarms, death).line
    return _PREFIX.sub("", _STAMP.sub("", line))


def _after(evidence: Evidence, t: float) -> str:
    """Return how long after ExitBootServices that was, or after its phase began."""
    record, ledger = evidence.record, _ledger(evidence)
    calls = ledger.exits if ledger is not None else ()
    granted = [call.t / _NANO for call in calls if call.status == 0 and call.t / _NANO <= t]
    if granted:
        return f", {t - granted[-1]:.1f} s after ExitBootServices"
    began = next((mark.t for mark in reversed(record.phases) if mark.name == record.ending.phase), None)
    return "" if began is None or not t else f", {max(0.0, t - began):.1f} s after it began"


def _phases(record: BootRecord) -> str:
    ends = [*(mark.t for mark in record.phases[1:]), record.durations.get("boot", 0.0)]
    parts = [f"{mark.name} {end - mark.t:.2f} s" for mark, end in zip(record.phases, ends, strict=False)]
    return f"phases: {', '.join(parts)}" if record.phases and ends[-1] else ""
