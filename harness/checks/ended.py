# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The first line of a verdict: what happened, in which phase, how long after what, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.finding import Problem
from harness.checks.where import (
    BEFORE_END,
    LOADERS_PHASES,
    fault_text,
    host_failed,
    led_by_page,
    ledger_of,
    pages,
    place,
    vcpus,
)
from harness.evidence.exception_dump import exception_dump
from harness.evidence.linux.oops import oops_behind
from harness.evidence.record import EndingKind
from harness.evidence.symbols.instructions import instruction
from harness.machine.memory_layout import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence
    from harness.evidence.exception_dump import ExceptionDump
    from harness.evidence.record import BootRecord, Remark
    from harness.evidence.signatures.signatures import Match, Signature, Signatures

_WHAT = {
    EndingKind.COMPLETED: "the guest reported and powered off",
    EndingKind.POWERED_OFF_EARLY: "the guest powered off before it had reported",
    EndingKind.GUEST_PANIC: "the kernel panicked",
    EndingKind.FIRMWARE_ASSERT: "a firmware assertion failed",
    EndingKind.FIRMWARE_EXCEPTION: "the firmware met an exception",
    EndingKind.TERMINATED: "the guest was terminated",
    EndingKind.UNVALIDATED_ACCESS: "the guest used an unvalidated page",
    EndingKind.RESET: "the machine was reset",
    EndingKind.HANG: "the guest hung",
    EndingKind.QEMU_EXIT: "QEMU ended",
    EndingKind.UNREACHABLE: "the guest did not answer",
    EndingKind.GAVE_UP: "firmware or loader gave up and wait for a person",
    EndingKind.RECORD_FULL: "guest or QEMU wrote more than a record may hold",
    EndingKind.HOST: "the host did not let the guest run",
}
_PANICS = {
    "loader": "the loader gave up",
    "stub": "the EFI stub gave up",
    "decompressor": "the kernel's decompressor stopped",
}
_BY_A_LINE = {EndingKind.GUEST_PANIC, EndingKind.FIRMWARE_ASSERT, EndingKind.FIRMWARE_EXCEPTION}
_BY_A_PAGE = _BY_A_LINE | {EndingKind.TERMINATED, EndingKind.RESET}
_BY_KERNEL = {EndingKind.GUEST_PANIC, EndingKind.HANG}
_EXCEPTIONS = {"firmware-exception", "firmware-vc"}
_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\] +")
_PREFIX = re.compile(r"^(?:Kernel panic - not syncing: |EFI stub: ERROR: |PANIC: )")
_BY_CODE = re.compile(r"\bby (firmware|firmware-ebs|kernel) at (0x[0-9a-f]+)")
"""How the emulation's words name code."""
_BEFORE, _BEHIND, _WIDTH = 4, 6, 200
"""Console lines before and from the last one, and characters of each."""
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
    elif _is_exception(death):
        dump = _dump(record)
        ours = dump is None or not _is_loaders(evidence, dump)
        what = _WHAT[EndingKind.FIRMWARE_EXCEPTION] if ours else "an exception in what the loader runs"
    reason = _reason(evidence, death, t)
    told = f"{what}, in phase {ending.phase}{_after(evidence, t)}" + (f": {reason}" if reason else "")
    ledger = ledger_of(evidence)
    failure = ledger.host_failure() if ledger is not None else None
    return told if failure is None else f"{told}; {host_failed(failure)}"


def story(evidence: Evidence) -> Iterator[str]:
    """Yield the lines that show how a boot ended.

    What is known of such an end, the page that a fault was about, the phases, a console's last words.
    """
    record = evidence.record
    found, detail = _explaining(record, evidence.signatures), _detail(evidence)
    twice = found is not None and detail.endswith(f": {found.says.meaning}")
    if not twice and not headline(evidence).endswith(detail) and _dump(record) is None:
        yield detail
    if found is not None:
        says = found.says
        yield f"{found.name}: {says.meaning}"
        known = (("cause", says.cause), ("try", says.try_), ("see", says.link))
        yield from (f"{word}: {text}" for word, text in known if text)
    yield from pages(evidence)
    led = _led(record, evidence.signatures)
    yield from _trace(record, led)
    yield from vcpus(evidence)
    yield from evidence.places.lacking()
    if phases := _phases(record):
        yield phases
    yield from (f"| {line[:_WIDTH]}" for line in _last_words(record, led))


def _last_words(record: BootRecord, death: Remark | None) -> list[str]:
    """Return the console lines around the one that led to the boot's end, or the last ones."""
    told = record.debugcon_text if death is not None and death.console == "debugcon" else record.whole_text
    lines = [line for line in told.splitlines() if line.strip()]
    at = next((n for n, line in enumerate(lines) if death and line.strip() == death.line), len(lines) - 1)
    return lines[max(0, at - _BEFORE) : at + _BEHIND]


def _dump(record: BootRecord) -> ExceptionDump | None:
    """Return the registers that the firmware's handler printed, of a boot that it ended."""
    if not _is_exception(_death(record)):
        return None
    return exception_dump(record.serial_text) or exception_dump(record.debugcon_text)


def _is_exception(death: Remark | None) -> bool:
    """Return whether the firmware's exception handler ended the boot: of old records an assertion."""
    return death is not None and death.pattern in _EXCEPTIONS


def _is_loaders(evidence: Evidence, dump: ExceptionDump) -> bool:
    """Return whether code that raised an exception is none of the firmware's, once a loader runs."""
    return evidence.record.ending.phase in LOADERS_PHASES and not evidence.places.is_firmware(dump.rip)


def _dump_text(evidence: Evidence, dump: ExceptionDump) -> str:
    """Return an exception with what it means, where it was, and the state of the page that it was about."""
    at = place(evidence, dump.rip) if evidence.places.modules.all else dump.where
    code = instruction(evidence.places.code(dump.rip))
    told = f"{dump.what}, at {at}" + (f", {code}" if code else "")
    ledger = ledger_of(evidence)
    if dump.about_page and ledger is not None:
        told += f"; the page {ledger.state_text(dump.cr2 & ~(PAGE - 1))}"
    return told


def _death(record: BootRecord) -> Remark | None:
    """Return the remark on the line that ended the boot, None where no line did."""
    if record.ending.kind not in _BY_A_LINE | {EndingKind.TERMINATED}:
        return None
    return next((each for each in record.remarks if each.line == record.ending.last_line), None)


def _explaining(record: BootRecord, signatures: Signatures) -> Signature | None:
    """Return the signature of what led to the end: the first alarm shortly before it, or the line itself.

    The function that an oops names belongs to its line.
    """
    for remark in _before(record):
        match = signatures.match(remark.line + _function(record, remark.line))
        if match is not None and _is_alarm(match):
            return match.signature
    match = signatures.match(record.ending.last_line)
    if match is not None and record.ending.kind is not EndingKind.HANG and not _is_alarm(match):
        match = None  # an ordinary line that happens to be the last
    if match is None:
        match = signatures.match(record.ending.detail, "qemu")
    return match.signature if match is not None else None


def _led(record: BootRecord, signatures: Signatures) -> Remark | None:
    """Return the first alarm before the end, which led to it, or the end's own line; None for neither."""
    alarms = (it for it in _before(record) if (match := signatures.match(it.line)) and _is_alarm(match))
    return next(alarms, _death(record))


def _before(record: BootRecord) -> list[Remark]:
    """Return the remarks on what came shortly before the end, of a hang on what came in its phase."""
    death = _death(record)
    if death is not None:
        return [it for it in record.remarks if death.t - BEFORE_END <= it.t <= death.t]
    if record.ending.kind is EndingKind.HANG and record.phases:
        return [it for it in record.remarks if it.t >= record.phases[-1].t]
    return []


def _is_alarm(match: Match) -> bool:
    return bool(match.alarm or match.ends)


def _reason(evidence: Evidence, death: Remark | None, t: float) -> str:
    record, signatures = evidence.record, evidence.signatures
    if record.ending.kind is EndingKind.UNVALIDATED_ACCESS:
        ledger = ledger_of(evidence)
        if ledger is not None and ledger.faults:
            return fault_text(evidence, ledger.faults[-1])
    if death is None:
        led = _led(record, signatures)
        first, detail = _said(record, led) if led is not None else _used(evidence, t), _detail(evidence)
        return f"{first}; then {detail}" if first else detail
    if (dump := _dump(record)) is not None:
        return _dump_text(evidence, dump)
    if _is_exception(death) and "; " in record.ending.detail:
        return record.ending.detail.partition("; ")[2]
    said, used = _said(record, _led(record, signatures) or death), _used(evidence, t)
    return f"{said}; after {used}" if used else said


def _detail(evidence: Evidence) -> str:
    """Return why a boot counts as ended as it did, with names for the code that it speaks of."""
    told = evidence.places.told
    return _BY_CODE.sub(
        lambda found: f"by {found[1]} at {told(int(found[2], 16), found[1])}", evidence.record.ending.detail
    )


def _used(evidence: Evidence, t: float) -> str:
    """Return what use of a page led to the end of a guest that ended itself, or was ended; else ""."""
    return led_by_page(evidence, t) if evidence.record.ending.kind in _BY_A_PAGE else ""


def _said(record: BootRecord, remark: Remark) -> str:
    """Return what a console line says, with the function that an oops names."""
    return _PREFIX.sub("", _STAMP.sub("", remark.line)) + _function(record, remark.line)


def _function(record: BootRecord, line: str) -> str:
    """Return the kernel's function that an oops names in the lines behind its first one."""
    function = oops_behind(record.whole_text, line).function
    return f", in {function}" if function and function not in line else ""


def _trace(record: BootRecord, led: Remark | None) -> Iterator[str]:
    """Yield who had called the function in which the kernel stopped, as its own call trace says."""
    if led is not None and record.ending.kind in _BY_KERNEL and led.console == "serial":
        calls = oops_behind(record.whole_text, led.line).calls
        if calls:
            yield f"the kernel's call trace: {', '.join(calls)}"


def _after(evidence: Evidence, t: float) -> str:
    """Return how long after ExitBootServices that was, or after its phase began."""
    record, ledger = evidence.record, ledger_of(evidence)
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
