# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where a boot ended: what each vCPU ran, who called it, and what became of the page of a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.finding import Problem
from harness.evidence.problems import EvidenceError
from harness.evidence.symbols.instructions import instruction
from harness.intervals import IntervalSet, amount
from harness.machine.memory_layout import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.evidence.evidence import Evidence
    from harness.evidence.ledger_model import Event, Fault, Ledger

_EVENTS = 3
_MOST_VCPUS = 4
_MOST_CALLS = 6
_NANO = 1e9
_BY_DEVICE = "dma-"
"""Refusals of this kind raise nothing in the guest."""
LOADERS_PHASES = {"loader", "stub"}
"""Phases in which what runs may be the loader's."""
_BY_RELOCATOR = {"legacy", "legacy-no-cbit"}
BEFORE_END = 2.0
"""Seconds; what came this shortly before the end is what led to it."""


def host_failed(event: Event) -> str:
    """Return what a host did to a guest, in words that go on after what became of it."""
    return f"its host had failed it: {event.op} of {event.gpa:#x}, ledger line {event.line}"


def fault_problem(evidence: Evidence, fault: Fault) -> Problem:
    """Return the problem that a page was touched which is not validated, and whose doing that is."""
    taken = evidence.ledger.host_failure(fault.line, fault.gpa & ~(PAGE - 1))
    values = {"op": fault.op, "access": fault.access, "phase": fault.phase}
    lines = history(evidence, evidence.ledger, fault)
    if taken is not None:
        what = f"the host took the page {fault.gpa:#x} away ({taken.op}) that {fault.phase} used"
        return Problem("taken-by-host", what, *lines, **values, host=taken.op)
    state = evidence.ledger.state_text(fault.gpa & ~(PAGE - 1), fault.line)
    what = f"{fault.op}: {fault.access} of {fault.gpa:#x} by {fault.phase}"
    return Problem("fault", what + (f"; the page {state}" if state else ""), *lines, **values)


def fault_text(evidence: Evidence, fault: Fault) -> str:
    """Return what a fault was, in one line: access, instruction, function, and the state of the page."""
    at = evidence.places.told(fault.rip, fault.phase)
    told = instruction(evidence.places.code(fault.rip))
    ledger = ledger_of(evidence)
    state = ledger.state_text(fault.gpa & ~(PAGE - 1), fault.line) if ledger is not None else ""
    return (
        f"{fault.op}: {fault.access} of {fault.gpa:#x} by {fault.phase} at {at}"
        + (f", {told}" if told else "")
        + (f"; the page {state}" if state else "")
    )


def led_by_page(evidence: Evidence, t: float) -> str:
    """Return what use of a page led to an end at ``t`` seconds, as the ledger tells; "" for none.

    That is the last access that was refused, or else what somebody read without the C-bit from private pages,
    which is noise: who runs it, or goes by it, gets nowhere.
    """
    ledger, since = ledger_of(evidence), (t - BEFORE_END) * _NANO
    if ledger is None:
        return ""
    refused = [it for it in ledger.faults if it.t >= since and not it.op.startswith(_BY_DEVICE)]
    if refused:
        return fault_text(evidence, refused[-1])
    noise = [it for it in ledger.select("shared-read") if it.t >= since]
    if not noise:
        return ""
    first, size = noise[0], amount(sum(it.size for it in noise))
    return (
        f"{first.phase} read {size} of private memory without the C-bit, which is noise, "
        f"from {first.gpa:#x} on at {place(evidence, first.rip, first.phase)}"
    )


def place(evidence: Evidence, address: int, who: str = "") -> str:
    """Return an address with what is there, also where that is in no image; ``who`` as in the ledger."""
    places = evidence.places
    name = places.name(address, who)
    if name or not places.modules.all:
        return f"{address:#x}" + (f" ({name})" if name else "")
    name = "in no loaded image"
    if who == "loader" or evidence.record.ending.phase in LOADERS_PHASES:
        name += ": what the loader put there"
        if evidence.traits is not None and evidence.traits.entry in _BY_RELOCATOR:
            name += ", as GRUB's relocator, by which it enters this kernel"
    return f"{address:#x} ({name})"


def pages(evidence: Evidence) -> Iterator[str]:
    """Yield what the ledger knows of the page of the last fault: who did what with it, and its neighbours."""
    ledger = ledger_of(evidence)
    if ledger is None or not ledger.faults:
        return
    fault = ledger.faults[-1]
    page = fault.gpa & ~(PAGE - 1)
    yield from history(evidence, ledger, fault)
    if page not in evidence.ram:
        return
    for name, other in (("before", page - PAGE), ("behind", page + PAGE)):
        if other in evidence.ram:
            yield f"the page {name} it, {other:#x}, {ledger.state_text(other, fault.line)}"


def history(evidence: Evidence, ledger: Ledger, fault: Fault) -> Iterator[str]:
    """Yield a fault, and what had happened to its page, or the whole range that nobody had accepted."""
    page = fault.gpa & ~(PAGE - 1)
    yield f"ledger line {fault.line}: {fault_text(evidence, fault)}"
    events = ledger.history(page, fault.line)
    for event in events[-_EVENTS:]:
        yield (
            f"ledger line {event.line}: {event.op} of {event.gpa:#x}-{event.end - 1:#x} by {event.phase} "
            f"at {evidence.places.told(event.rip, event.phase)}, {(fault.t - event.t) / _NANO:.2f} s before"
        )
    if events or page not in evidence.ram:
        return
    accepted = IntervalSet.of((event.gpa, event.end) for event in ledger.events if event.line < fault.line)
    hole = next(bounds for bounds in evidence.ram - accepted if bounds[0] <= page < bounds[1])
    size = IntervalSet.span(*hole).amount
    yield f"nobody ever accepted the range around it, {hole[0]:#x}-{hole[1] - 1:#x}: {size}"


def vcpus(evidence: Evidence) -> Iterator[str]:
    """Yield where each vCPU was in the end, by name as far as names are known, and who called it."""
    found = evidence.places.registers
    for vcpu, rip in enumerate(found.rips[:_MOST_VCPUS]):
        told = instruction(found.codes[vcpu]) if vcpu < len(found.codes) else ""
        yield f"vCPU {vcpu} at {evidence.places.told(rip)}" + (f", {told}" if told else "")
        if vcpu < min(len(found.frames), len(found.stacks)):
            yield from _callers(evidence, found.frames[vcpu], found.stacks[vcpu])


def _callers(evidence: Evidence, frame: int, stack: Mapping[int, int]) -> Iterator[str]:
    """Yield who called, as frame pointers tell; what has no name ends the trace, for it may be no caller."""
    for _ in range(_MOST_CALLS):
        returns, above = stack.get(frame + 8, 0), stack.get(frame, 0)
        name = evidence.places.name(returns - 1) if returns else ""
        if not name:
            return
        yield f"  called from {name}"
        if above <= frame:
            return
        frame = above


def ledger_of(evidence: Evidence) -> Ledger | None:
    """Return the ledger, None where there is none or a damaged one, which other checks tell."""
    try:
        return evidence.ledger
    except EvidenceError:
        return None
