# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Who accepted which page, and when: questions that only the exact ledger answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.finding import Check, Problem
from harness.evidence.intervals import IntervalSet
from harness.evidence.memmap import USABLE_TYPES, ranges_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.checks.view import Evidence
    from harness.evidence.ledger_model import Event, RmpState

_MOST_LINES = 20


def _told(event: Event) -> str:
    span = IntervalSet.span(event.gpa, event.end)
    what = f"ledger line {event.line}: {event.op} {span} by {event.phase}"
    return f"{what} at {event.rip:#x}, t={event.t / 1e9:.6f} s"


def _at_handover(evidence: Evidence) -> RmpState:
    """Give the state before the kernel's first own operation; at the end, when it made none.

    Not only its first validation: before that it may make a validated page shared.
    """
    first = evidence.ledger.first(phase="kernel")
    return evidence.ledger.final() if first is None else evidence.ledger.before(first)


def _ledger_whole(evidence: Evidence) -> Iterator[Problem]:
    """Compare the end line's totals with the lines: nothing may be lost on the way."""
    ledger = evidence.ledger
    if ledger.end is None:
        yield Problem("the ledger has no end line: it was cut short", evidence.end)
        return
    if ledger.ram != evidence.ram:
        yield Problem(f"the ledger's RAM is {ledger.ram}, configured is {evidence.ram}")
    for op, phases in ledger.end.get("pages", {}).items():
        for phase, total in phases.items():
            counted = ledger.pages(op, phase)
            if counted != total:
                yield Problem(f"{op} in {phase}: {counted} pages in the lines, {total} in the end line")


def _accepted_before_kernel(evidence: Evidence) -> Iterator[Problem]:
    missing = evidence.high_ram - _at_handover(evidence).validated
    if missing:
        first = evidence.ledger.first(phase="kernel")
        yield Problem(
            f"{missing.size} bytes at 4 GiB and above were not validated when the kernel began: {missing}",
            *([_told(first)] if first else ["the kernel itself did nothing to any page"]),
        )


def _firmware_left_high(evidence: Evidence) -> Iterator[Problem]:
    touched = evidence.ledger.validated_by("launch", "firmware") & evidence.high_ram
    if touched:
        events = [
            event
            for event in evidence.ledger.select("validate", "launch-private")
            if event.phase in {"launch", "firmware"} and touched & IntervalSet.span(event.gpa, event.end)
        ]
        yield Problem(
            f"firmware validated {touched.size} bytes at 4 GiB and above: {touched}",
            *(_told(event) for event in events[:_MOST_LINES]),
        )


def _usable_is_validated(evidence: Evidence) -> Iterator[Problem]:
    """Ask that what the map calls ordinary memory is validated, or was until it became shared."""
    state = _at_handover(evidence)
    usable = ranges_of(evidence.memory_map, *USABLE_TYPES) & evidence.ram
    if missing := usable - state.validated - state.shared:
        yield Problem(
            f"{missing.size} bytes that the map calls ordinary memory were not validated: {missing}"
        )


def _validated_once(evidence: Evidence) -> Iterator[Problem]:
    for event, again in evidence.ledger.validated_twice()[:_MOST_LINES]:
        yield Problem(f"validated again while already validated: {again}", _told(event))


def _no_unvalidated_access(evidence: Evidence) -> Iterator[Problem]:
    for fault in evidence.ledger.faults[:_MOST_LINES]:
        yield Problem(
            f"{fault.op}: {fault.access} of {fault.gpa:#x} by {fault.phase}",
            f"ledger line {fault.line}: at {fault.rip:#x}, t={fault.t / 1e9:.6f} s",
        )


def _no_termination(evidence: Evidence) -> Iterator[Problem]:
    for end in evidence.ledger.terminations:
        yield Problem(f"the guest asked for its end: set {end.code_set}, code {end.code}", end.text)


LEDGER_WHOLE = Check(
    "ledger-whole", "Is the ledger whole, and do its totals agree?", _ledger_whole, needs_ledger=True
)
ACCEPTED_BEFORE_KERNEL = Check(
    "accepted-before-kernel",
    "Was all RAM at 4 GiB and above validated before the kernel's first own validation?",
    _accepted_before_kernel,
    needs_ledger=True,
)
FIRMWARE_LEFT_HIGH = Check(
    "firmware-left-high",
    "Did the firmware validate nothing at 4 GiB and above?",
    _firmware_left_high,
    needs_ledger=True,
)
USABLE_IS_VALIDATED = Check(
    "usable-is-validated",
    "Was all memory that the firmware offers as ordinary validated?",
    _usable_is_validated,
    needs_ledger=True,
)
VALIDATED_ONCE = Check(
    "validated-once", "Was no page validated while it already was?", _validated_once, needs_ledger=True
)
NO_UNVALIDATED_ACCESS = Check(
    "no-unvalidated-access",
    "Did nobody touch a page that was not validated?",
    _no_unvalidated_access,
    needs_ledger=True,
)
NO_TERMINATION = Check(
    "no-termination", "Did the guest never ask for its own end?", _no_termination, needs_ledger=True
)
