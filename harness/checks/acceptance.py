# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Who accepted which page, and when: questions that only the exact ledger answers."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from harness.artifacts.firmware.traits import LOCAL_APIC
from harness.checks.finding import Check, Needs, Problem
from harness.checks.host import page_states
from harness.checks.protocol import UNACCEPTED
from harness.checks.where import fault_problem, host_failed
from harness.evidence.efi_probe import INVALID_PARAMETER
from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet, amount
from harness.machine.memory_layout import FOUR_GIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence
    from harness.evidence.ledger_model import Event, ExitCall, Phase, RmpState

_MOST_LINES = 20
_OF_FIRMWARE: tuple[Phase, ...] = ("launch", "firmware", "firmware-ebs")


def told(event: Event) -> str:
    """Return an event in words, with its line in the ledger."""
    span = IntervalSet.span(event.gpa, event.end)
    what = f"ledger line {event.line}: {event.op} {span} by {event.phase}"
    return f"{what} at {event.rip:#x}, t={event.t / 1e9:.6f} s"


_NOT_JUDGED = frozenset({"Reserved", "Unusable", "MMIO", "MMIO Port", "Persistent", UNACCEPTED})
"""Reserved memory may be validated or shared (GHCBs are); the others are not RAM that anybody uses."""

_MAY_BE_SHARED = frozenset({"ACPI Mem NVS", "Runtime Data"})
"""The firmware's own: edk2 2022.11 leaves SEC's GHCB shared, in the ACPI NVS range of its work area."""


def told_exit(call: ExitCall) -> str:
    """Return a call of ExitBootServices as findings show it."""
    status = "never returned" if call.status is None else f"status {call.status:#x}"
    what = f"ledger line {call.line}: ExitBootServices by {call.phase}, map key {call.map_key:#x}: {status}"
    return f"{what}, at {call.rip:#x}, t={call.t / 1e9:.6f} s"


def _at_handover(evidence: Evidence) -> RmpState:
    """Return the state when ExitBootServices was granted: what the firmware leaves to its loader."""
    line = evidence.ledger.handover
    if line is None:
        raise EvidenceError(
            "the ledger has no call of ExitBootServices that was granted", "the boot did not get that far"
        )
    return evidence.ledger.before(line)


def _ledger_whole(evidence: Evidence) -> Iterator[Problem]:
    """Compare the end line's totals with the lines: nothing may be lost on the way."""
    ledger = evidence.whole_ledger
    if ledger.cut is not None:
        yield Problem(
            "ledger-limit",
            f"the ledger reached its limit of {amount(ledger.cut.limit)}, and later events are only counted",
            f"ledger line {ledger.cut.line}: mostly of these",
            *ledger.cut.by,
            limit=ledger.cut.limit,
        )
        return
    if ledger.end is None:
        yield Problem("ledger-cut", "the ledger has no end line: it was cut short", evidence.end)
        return
    if ledger.ram != evidence.ram:
        yield Problem(
            "ledger-ram",
            f"the ledger's RAM is {ledger.ram}, configured is {evidence.ram}",
            ram=str(ledger.ram),
            configured=str(evidence.ram),
        )
    for op, phases in ledger.end.get("pages", {}).items():
        for phase, total in phases.items():
            counted = ledger.pages(op, phase)
            if counted != total:
                yield Problem(
                    "totals-differ",
                    f"{op} in {phase}: {counted} pages in the lines, {total} in the end line",
                    op=op,
                    phase=phase,
                    counted=counted,
                    total=total,
                )
    returns = sum(call.returned is not None for call in ledger.exits)
    for key, count in (("ebs-calls", len(ledger.exits)), ("ebs-returns", returns)):
        if ledger.end.get(key) != count:
            yield Problem(
                "totals-differ",
                f"{key}: {count} in the lines, {ledger.end.get(key)} in the end line",
                op=key,
                counted=count,
            )


def _accepted_before_kernel(evidence: Evidence) -> Iterator[Problem]:
    missing = evidence.high_ram - _at_handover(evidence).validated
    if missing:
        yield Problem(
            "not-validated",
            f"{missing.amount} at 4 GiB and above were not validated at the handover: {missing}",
            *(told_exit(call) for call in evidence.ledger.exits),
            bytes=missing.size,
        )


def _firmware_left_high(evidence: Evidence) -> Iterator[Problem]:
    touched = evidence.ledger.validated_by(*_OF_FIRMWARE) & evidence.high_ram
    if touched:
        events = [
            event
            for event in evidence.ledger.select("validate", "launch-private")
            if event.phase in _OF_FIRMWARE and touched & IntervalSet.span(event.gpa, event.end)
        ]
        yield Problem(
            "validated-by-firmware",
            f"firmware validated {touched.amount} at 4 GiB and above: {touched}",
            *(told(event) for event in events[:_MOST_LINES]),
            bytes=touched.size,
        )


def _audit(evidence: Evidence) -> Iterator[Problem]:
    """Compare each descriptor of the map that was handed over with the state of its pages in the ledger."""
    entries, state = evidence.memory_map, _at_handover(evidence)
    accepted = evidence.probe.accepted if evidence.traits.kernel.probe else ()
    ours = IntervalSet.of((part.start, part.start + part.size) for part in accepted)
    for entry in entries:
        pages = IntervalSet.span(entry.start, entry.end) & evidence.ram
        if entry.type == UNACCEPTED:
            if wrong := (pages & state.validated) - ours:
                yield Problem(
                    "unaccepted-validated",
                    f"{wrong.amount} of unaccepted memory are validated: {wrong}",
                    entry.line,
                    bytes=wrong.size,
                )
            if wrong := pages & state.shared:
                yield Problem(
                    "unaccepted-shared",
                    f"{wrong.amount} of unaccepted memory are shared: {wrong}",
                    entry.line,
                    bytes=wrong.size,
                )
            if wrong := (pages & ours) - state.validated:
                yield Problem(
                    "accepted-not-validated",
                    f"{wrong.amount} that the probe had accepted are not validated: {wrong}",
                    bytes=wrong.size,
                )
        elif entry.type not in _NOT_JUDGED:
            if (wrong := pages & state.shared) and entry.type not in _MAY_BE_SHARED:
                yield Problem(
                    "given-shared",
                    f"{wrong.amount} are shared with the hypervisor: {wrong}",
                    entry.line,
                    bytes=wrong.size,
                    type=entry.type,
                )
            if wrong := pages - state.shared - state.validated:
                yield Problem(
                    "given-not-validated",
                    f"{wrong.amount} are not validated: {wrong}",
                    entry.line,
                    bytes=wrong.size,
                    type=entry.type,
                )


def _validated_once(evidence: Evidence) -> Iterator[Problem]:
    for event, again in evidence.ledger.validated_twice()[:_MOST_LINES]:
        yield Problem(
            "validated-again",
            f"validated again while already validated: {again}",
            told(event),
            bytes=again.size,
            phase=event.phase,
        )


def _no_private_mmio(evidence: Evidence) -> Iterator[Problem]:
    """Ask that nobody uses what is no memory with the C-bit; hosts with QEMU 9.1 or later end such a guest.

    A firmware may use the local APIC so, whose image shows that it does: the rollout model has a row for it.
    """
    known = evidence.traits.firmware.private_apic
    events = (
        event
        for event in evidence.ledger.select("private-mmio")
        if not (known and event.gpa == LOCAL_APIC and event.phase in _OF_FIRMWARE)
    )
    for event in islice(events, _MOST_LINES):
        yield Problem(
            "private-mmio",
            f"{event.gpa:#x} is no memory, and was used with the C-bit: QEMU 9.1 and later end the guest",
            told(event),
            gpa=event.gpa,
            phase=event.phase,
        )


def _no_unvalidated_access(evidence: Evidence) -> Iterator[Problem]:
    for fault in evidence.ledger.faults[:_MOST_LINES]:
        yield fault_problem(evidence, fault)


def _no_termination(evidence: Evidence) -> Iterator[Problem]:
    for end in evidence.ledger.terminations:
        what = f"the guest asked for its end: set {end.code_set:#x}, code {end.code:#x}"
        if not end.asked:
            what = "the emulation ended the guest"
        failure = evidence.ledger.host_failure(end.line)
        if failure is None:
            yield Problem("terminated", what, end.text, code_set=end.code_set, code=end.code)
        else:
            what, host = f"{what}; {host_failed(failure)}", failure.op
            yield Problem("failed-by-host", what, end.text, code_set=end.code_set, code=end.code, host=host)


def _granted_after(evidence: Evidence, most: int) -> Iterator[Problem]:
    """Ask that the last call was granted, and those before, ``most`` of them, refused as a stale key is."""
    calls = evidence.ledger.exits
    if not calls or not calls[-1].granted:
        yield Problem(
            "exit-not-granted",
            f"ExitBootServices was not granted in {len(calls)} calls",
            evidence.end,
            *map(told_exit, calls),
            calls=len(calls),
        )
    refused = [call for call in calls if not call.granted]
    for call in refused:
        if call.status != INVALID_PARAMETER:
            yield Problem(
                "exit-status",
                "ExitBootServices did not end with EFI_INVALID_PARAMETER",
                told_exit(call),
                status=call.status if call.status is not None else -1,
            )
    if len(refused) > most:
        yield Problem(
            "exit-refused",
            f"ExitBootServices was refused {len(refused)} times, {most} at most may be",
            *map(told_exit, calls),
            times=len(refused),
            most=most,
        )


def _granted_at_once(evidence: Evidence) -> Iterator[Problem]:
    yield from _granted_after(evidence, most=0)


def _retried_once(evidence: Evidence) -> Iterator[Problem]:
    """Allow the refusal that tells the loader of accepted memory.

    Without any to accept the firmware may still change the map: it allocates while it looks for some.
    """
    yield from _granted_after(evidence, most=1)


def _accepts_at_exit(evidence: Evidence) -> Iterator[Problem]:
    """Ask for all memory that waits when boot services end, each page once, and not in the granted call.

    A firmware without the protocol has accepted all before. What is validated below 4 GiB was shared and is
    given back.
    """
    ledger = evidence.ledger
    calls = [told_exit(call) for call in ledger.exits]
    if not calls:
        raise EvidenceError("the ledger has no call of ExitBootServices", "the boot did not get that far")
    wanted = evidence.high_ram if evidence.traits.firmware.memory_acceptance else IntervalSet()
    events = [event for event in ledger.select("validate", phase="firmware-ebs") if event.end > FOUR_GIB]
    done = IntervalSet.of((max(event.gpa, FOUR_GIB), event.end) for event in events)
    if missing := wanted - done:
        yield Problem(
            "not-validated-at-exit",
            f"{missing.amount} were not validated in ExitBootServices: {missing}",
            *calls,
            bytes=missing.size,
        )
    if extra := done - wanted:
        yield Problem(
            "validated-beyond",
            f"{extra.amount} were validated in ExitBootServices that were no unaccepted RAM: {extra}",
            *(told(event) for event in events[:_MOST_LINES]),
            bytes=extra.size,
        )
    total = sum(event.end - max(event.gpa, FOUR_GIB) for event in events)
    if total != done.size:
        yield Problem(
            "validated-again-at-exit",
            f"{amount(total)} were validated in ExitBootServices for {done.amount} of RAM",
            *calls,
            bytes=total,
            of=done.size,
        )
    for call in ledger.exits:
        late = [event for event in events if call.line < event.line < (call.returned or 0)]
        if call.granted and late:
            yield Problem(
                "accepted-in-granted-call",
                "memory was accepted in the very call that was granted, "
                "after the loader had read its last map",
                told_exit(call),
                *(told(event) for event in late[:_MOST_LINES]),
            )


LEDGER_WHOLE = Check(
    "ledger-whole",
    "Is the ledger whole, and do its totals agree?",
    _ledger_whole,
    Needs.LEDGER,
    why_not="there is none to compare",
)
ACCEPTED_BEFORE_KERNEL = Check(
    "accepted-before-kernel",
    "Was all RAM at 4 GiB and above validated when ExitBootServices was granted?",
    _accepted_before_kernel,
    Needs.HANDOVER,
    by_page_states=page_states.accepted_before_kernel,
)
FIRMWARE_LEFT_HIGH = Check(
    "firmware-left-high",
    "Did the firmware leave all RAM at 4 GiB and above unvalidated?",
    _firmware_left_high,
    Needs.HANDOVER,
    by_page_states=page_states.firmware_left_high,
)
EXIT_GRANTED_AT_ONCE = Check(
    "exit-granted-at-once",
    "Did the firmware grant the first call of ExitBootServices?",
    _granted_at_once,
    Needs.LEDGER,
    why_not="a host does not see calls of ExitBootServices",
)
EXIT_RETRIED_ONCE = Check(
    "exit-retried-at-most-once",
    "Did the firmware refuse ExitBootServices at most once, with EFI_INVALID_PARAMETER?",
    _retried_once,
    Needs.LEDGER,
    by_page_states=page_states.exit_retried_once,
)
EXIT_ACCEPTS_EXACTLY = Check(
    "exit-accepts-exactly",
    "Did ExitBootServices accept exactly the memory that was unaccepted, in a call that it refused?",
    _accepts_at_exit,
    Needs.HANDOVER,
    by_page_states=page_states.exit_accepts_exactly,
)
HANDOFF_AUDIT = Check(
    "handoff-audit",
    "Does the state of every page agree with the map handed over?",
    _audit,
    Needs.HANDOVER,
    by_page_states=page_states.handoff_audit,
)
VALIDATED_ONCE = Check(
    "validated-once",
    "Was every page validated once, until it was given back?",
    _validated_once,
    Needs.HANDOVER,
)
NO_PRIVATE_MMIO = Check(
    "no-private-mmio",
    "Was every access with the C-bit one to memory?",
    _no_private_mmio,
    Needs.HANDOVER,
    why_not="QEMU 9.1 and later end such a guest, and the boot itself fails",
)
NO_UNVALIDATED_ACCESS = Check(
    "no-unvalidated-access",
    "Was every page validated that anybody touched?",
    _no_unvalidated_access,
    Needs.LEDGER,
    why_not="a #VC for an unvalidated page stays in the guest, which ends by it",
)
NO_TERMINATION = Check(
    "no-termination",
    "Is the ledger free of a guest that asks for its own end?",
    _no_termination,
    Needs.LEDGER,
    by_page_states=page_states.no_termination,
    strength="exact",
)
