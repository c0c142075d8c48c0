# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A record's ledger as an answer: who accepted a page, when, from where; or who accepted how much."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.evidence.ledger_model import VALIDATING
from harness.evidence.symbols.places import Places
from harness.intervals import IntervalSet, amount
from harness.results.record_facts import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.ledger_model import Event, Fault, Ledger
    from harness.results.record_facts import RecordFacts


_FILE = "ledger.jsonl"


def ledger_of(facts: RecordFacts) -> Ledger:
    """Return a record's ledger; HarnessError, with what is wrong, for a record without one."""
    if facts.ledger is not None:
        return facts.ledger
    why = next(iter(damage(facts)), "")
    raise HarnessError(
        f"{facts.name}: {why or 'its boot left no ledger'}",
        "an emulated confidential guest has one; of hardware, `harness show` has counts",
    )


def damage(facts: RecordFacts) -> list[str]:
    """Return what is wrong with a record's ledger: what it does not hold may well have happened."""
    return [said for said in facts.missing if said.startswith(_FILE)]


def page_data(facts: RecordFacts, address: int) -> dict[str, Any]:
    """Return what is known of an address's page: its state in the end, its history, faults; t in seconds."""
    ledger = ledger_of(facts)
    places = Places(facts.files, ledger)
    page = address // ledger.page_size * ledger.page_size
    happened: list[Event | Fault] = [*ledger.history(page)]
    happened += [it for it in ledger.faults if it.gpa // ledger.page_size * ledger.page_size == page]
    return {
        "page": page,
        "state": ledger.state_text(page),
        "history": [_entry(it, places) for it in sorted(happened, key=lambda each: each.line)],
        "lacking": places.lacking(),
        "damaged": damage(facts),
    }


def _entry(it: Event | Fault, places: Places) -> dict[str, Any]:
    size = getattr(it, "size", 0)
    return {
        "line": it.line,
        "t": seconds_of(it.t),
        "op": it.op,
        "phase": it.phase,
        "vcpu": it.vcpu,
        "start": it.gpa,
        "end": it.gpa + size if size else None,
        "access": getattr(it, "access", None),
        "rip": it.rip,
        "at": places.name(it.rip, it.phase) if it.rip else "",
    }


def page_lines(data: dict[str, Any]) -> Iterator[str]:
    """Yield what people read of `page_data`."""
    yield from map(_damaged, data["damaged"])
    yield f"page {data['page']:#x}: it {data['state']}"
    for entry in data["history"]:
        what = f"{entry['start']:#x}-{entry['end'] - 1:#x}" if entry["end"] else f"{entry['start']:#x}"
        access = f"{entry['access']} of " if entry["access"] else ""
        who = f"by {entry['phase']}" + (f", vCPU {entry['vcpu']}" if entry["vcpu"] >= 0 else "")
        at = f" at {entry['rip']:#x}" if entry["rip"] else ""
        name = f" ({entry['at']})" if entry["at"] else ""
        yield f"{entry['t']:9.3f} s  line {entry['line']}: {entry['op']}: {access}{what} {who}{at}{name}"
    if not data["history"]:
        yield "nothing ever happened to it"
    yield from data["lacking"]


def _damaged(said: str) -> str:
    return f"not all that the boot left: {said}"


def summary_data(facts: RecordFacts) -> dict[str, Any]:
    """Return who validated memory, by phase and place: bytes, operations, times in seconds, ledger lines."""
    ledger = ledger_of(facts)
    places = Places(facts.files, ledger)
    by_place: dict[tuple[str, int], list[Event]] = defaultdict(list)
    for event in ledger.events:
        if event.op in VALIDATING:
            by_place[event.phase, event.rip].append(event)
    found = [
        {
            "phase": phase,
            "rip": rip,
            "at": places.name(rip, phase) if rip else "",
            "bytes": IntervalSet.of((event.gpa, event.end) for event in events).size,
            "operations": sum(event.count for event in events),
            "t": [seconds_of(events[0].t), seconds_of(events[-1].t)],
            "lines": [events[0].line, events[-1].line],
        }
        for (phase, rip), events in by_place.items()
    ]
    never = ledger.ram - ledger.final().validated - ledger.final().shared
    return {
        "validated": found,
        "waiting": [list(bounds) for bounds in never],
        "faults": len(ledger.faults),
        "lacking": places.lacking(),
        "damaged": damage(facts),
    }


def summary_lines(data: dict[str, Any]) -> Iterator[str]:
    """Yield what people read of `summary_data`."""
    yield from map(_damaged, data["damaged"])
    for entry in data["validated"]:
        first, last = entry["t"]
        name = f" ({entry['at']})" if entry["at"] else ""
        at = f" at {entry['rip']:#x}{name}" if entry["rip"] else ""
        when = f"{first:.3f}-{last:.3f} s, ledger lines " + "{}-{}".format(*entry["lines"])
        yield f"{entry['phase']:13} {amount(entry['bytes'])}{at}, {when}"
    waiting = IntervalSet.of((start, end) for start, end in data["waiting"])
    yield f"neither validated nor shared in the end: {waiting.amount}"
    yield f"accesses that were refused: {data['faults']}"
    yield from data["lacking"]
