# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What becomes of a guest whose host fails or lies: it goes on whole, or it ends, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.acceptance import told
from harness.checks.finding import Check, Needs, Problem
from harness.evidence.ledger_model import LIES
from harness.evidence.record import EndingKind
from harness.intervals import IntervalAccumulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence
    from harness.evidence.ledger_model import Event

_LOUD = frozenset(
    {
        EndingKind.TERMINATED,
        EndingKind.GUEST_PANIC,
        EndingKind.FIRMWARE_ASSERT,
        EndingKind.FIRMWARE_EXCEPTION,
        EndingKind.UNVALIDATED_ACCESS,
        EndingKind.RESET,
    }
)


def _faults(evidence: Evidence) -> Iterator[Event]:
    return (event for event in evidence.ledger.events if event.op.startswith("host-"))


def _faults_came(evidence: Evidence) -> Iterator[Problem]:
    """Ask for each fault by name: a guest that gave the host no occasion proves nothing."""
    came = {event.op.removeprefix("host-") for event in _faults(evidence)}
    for fault in evidence.traits.faults:
        if fault not in came:
            yield Problem("fault-missing", f"the host had no occasion for {fault}", evidence.end, fault=fault)


def _ends_loudly(evidence: Evidence) -> Iterator[Problem]:
    ending = evidence.record.ending
    if ending.kind not in _LOUD:
        what = "hung" if ending.kind is EndingKind.HANG else "did not end itself"
        yield Problem(
            "not-loud",
            f"the guest {what} after its host had failed it",
            evidence.end,
            *map(told, _faults(evidence)),
            ending=str(ending.kind),
        )


def _taken_memory_given_up(evidence: Evidence) -> Iterator[Problem]:
    """Ask that nobody validates again what the host took away, unless the guest itself gave it up before.

    To validate it is to take whatever the host put there for what had been there: lost or doubly mapped
    memory.
    """
    taken = IntervalAccumulator()
    by: list[Event] = []
    for event in evidence.ledger.events:
        if event.op in LIES:
            taken.add(event.gpa, event.end)
            by.append(event)
        elif event.op in {"psc-shared", "rescind"}:
            taken.remove(event.gpa, event.end)
        elif event.op == "validate" and (lost := taken.overlap(event.gpa, event.end)):
            yield Problem(
                "validated-after-loss",
                f"{lost} was validated again after the host had taken it away: what it held is lost",
                *map(told, by),
                told(event),
                bytes=lost.size,
                phase=event.phase,
            )
    if by and evidence.record.ending.kind is EndingKind.COMPLETED:
        yield Problem(
            "went-on", "the guest went on to its end without memory that its host took away", *map(told, by)
        )


FAULTS_CAME = Check("host-faults-came", "Did the host fail as it was to?", _faults_came, Needs.LEDGER)
ENDS_LOUDLY = Check("ends-loudly", "Did the guest end itself, and say so?", _ends_loudly, Needs.LEDGER)
TAKEN_MEMORY_GIVEN_UP = Check(
    "taken-memory-given-up",
    "Did the guest give up all memory that its host took away?",
    _taken_memory_given_up,
    Needs.LEDGER,
)
