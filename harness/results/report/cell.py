# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a cell's page shows: the record's parts, each read by itself, so that a damaged one hides no other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.evidence.e820 import parse_e820
from harness.evidence.evidence import handed_over
from harness.evidence.ledger import read_ledger
from harness.evidence.ledger_model import PHASES, VALIDATING
from harness.evidence.problems import EvidenceError
from harness.evidence.record import INDEX, BootRecord
from harness.evidence.symbols.whose_code import attributed
from harness.intervals import IntervalSet, amount
from harness.machine.memory_layout import configured_ram
from harness.results.record_facts import attempt
from harness.results.report.drawing import (
    Band,
    Lane,
    Mark,
    acceptance_plot,
    memory_picture,
    timeline,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from markupsafe import Markup

    from harness.evidence.e820 import E820Entry
    from harness.evidence.ledger_model import Ledger, Phase
    from harness.evidence.memory_map import MemoryDescriptor
    from harness.results.model import CheckLine

_NANO = 1e9
WHO: tuple[Phase, ...] = ("launch", "firmware", "firmware-ebs", "loader", "efi-stub", "kernel")
assert set(WHO) == PHASES
_AROUND, _HEAD, _TAIL = 15, 150, 300
_LONGEST = 2000
"""Lines of a console that a page shows whole."""


@dataclass(frozen=True)
class ConsoleLine:
    """One line; ``marked`` when a finding cites it. ``number`` counts from 1; 0 says what is left out."""

    number: int
    text: str
    marked: bool = False


@dataclass(frozen=True)
class MapRow:
    """One row of a table of memory."""

    start: str
    end: str
    size: str
    kind: str
    more: str = ""


@dataclass(frozen=True)
class CellParts:
    """What the record holds, ready to be shown. ``missing`` says which parts could not be read, and why."""

    record: BootRecord | None
    phases: Markup | None = None
    memory: Markup | None = None
    acceptance: Markup | None = None
    handed_over: tuple[MapRow, ...] = ()
    e820: tuple[MapRow, ...] = ()
    accepted: tuple[MapRow, ...] = ()
    exits: tuple[MapRow, ...] = ()
    consoles: tuple[tuple[str, tuple[ConsoleLine, ...]], ...] = ()
    missing: tuple[str, ...] = field(default=())


def read_parts(path: Path, checks: Sequence[CheckLine]) -> CellParts:
    """Return all that the record in ``path`` shows."""
    missing: list[str] = []
    record = attempt("boot.json", lambda: BootRecord.load(path), missing)
    if record is None:
        return CellParts(None, missing=tuple(missing))
    handed = attempt("memory map", lambda: handed_over(record), missing) or ()
    ledger = attempt("ledger", lambda: _ledger(record, handed), missing)
    e820 = attempt("e820", lambda: parse_e820(record.serial_text), missing) or ()
    ram = attempt("memory size", lambda: _ram(record), missing) or IntervalSet.of(())
    seconds = record.durations.get("boot", 0.0) or max((mark.t for mark in record.phases), default=0.0)
    marks = _marks(ledger)
    return CellParts(
        record,
        phases=timeline([(mark.name, mark.t) for mark in record.phases], seconds, marks) if seconds else None,
        memory=memory_picture(_lanes(handed, e820, ledger), ram) if ram and (handed or ledger) else None,
        acceptance=acceptance_plot(_series(ledger), seconds, marks) if ledger and seconds else None,
        handed_over=tuple(_row(it.start, it.end, it.type, " ".join(sorted(it.attributes))) for it in handed),
        e820=tuple(_row(it.start, it.end, it.kind) for it in e820),
        accepted=tuple(_accepted(ledger)) if ledger else (),
        exits=tuple(_exits(ledger)) if ledger else (),
        consoles=tuple(_consoles(record, checks, missing)),
        missing=tuple(missing),
    )


def _ram(record: BootRecord) -> IntervalSet:
    """Return the memory that the machine had; EvidenceError for a size that no machine has."""
    memory_mib = record.spec.get("memory_mib", 0)
    if not isinstance(memory_mib, int) or memory_mib < 0:
        raise EvidenceError(f"{record.path / INDEX} is damaged: memory_mib {memory_mib!r}", "boot it again")
    return configured_ram(memory_mib)


def _ledger(record: BootRecord, handed: Sequence[MemoryDescriptor]) -> Ledger | None:
    return attributed(read_ledger(record.ledger_path), handed) if record.ledger_path is not None else None


def _row(start: int, end: int, kind: str, more: str = "") -> MapRow:
    return MapRow(f"{start:#x}", f"{end - 1:#x}", amount(end - start), kind, more)


def _class(kind: str) -> str:
    """Return the style sheet's class of a type of memory."""
    word = kind.lower()
    for known in ("unaccepted", "conventional", "usable", "runtime", "acpi", "loader", "boot", "reserved"):
        if known in word:
            return f"is-{known}"
    return "is-other"


def _lanes(
    handed: Sequence[MemoryDescriptor], e820: Sequence[E820Entry], ledger: Ledger | None
) -> list[Lane]:
    lanes = []
    if handed:
        bands = (Band(it.start, it.end, _class(it.type), _title(it.start, it.end, it.type)) for it in handed)
        lanes.append(Lane("firmware's map", tuple(bands)))
    if e820:
        entries = ((it.start, it.end, it.kind) for it in e820)
        bands = (Band(start, end, _class(kind), _title(start, end, kind)) for start, end, kind in entries)
        lanes.append(Lane("e820", tuple(bands)))
    if ledger is not None:
        lanes.append(Lane("validated by", tuple(_validated(ledger))))
        final = ledger.final()
        lanes.append(
            Lane(
                "state at the end",
                (
                    *(Band(s, e, "is-validated", _title(s, e, "validated")) for s, e in final.validated),
                    *(Band(s, e, "is-shared", _title(s, e, "shared")) for s, e in final.shared),
                ),
            )
        )
    return lanes


def _validated(ledger: Ledger) -> Iterable[Band]:
    for who in WHO:
        for start, end in ledger.validated_by(who):
            yield Band(start, end, f"by-{who}", _title(start, end, f"validated by {who}"))


def _title(start: int, end: int, what: str) -> str:
    return f"{what}: {start:#x}-{end - 1:#x} ({amount(end - start)})"


def _series(ledger: Ledger) -> dict[str, list[tuple[float, int]]]:
    """Return by phase what it had validated by when: pairs of seconds and bytes."""
    total: dict[str, int] = defaultdict(int)
    series: dict[str, list[tuple[float, int]]] = {}
    for event in ledger.events:
        if event.op in VALIDATING:
            total[event.phase] += event.size
            series.setdefault(event.phase, []).append((event.t / _NANO, total[event.phase]))
    return {who: _thinned(series[who]) for who in WHO if who in series}


def _thinned(points: list[tuple[float, int]], most: int = 400) -> list[tuple[float, int]]:
    """Return at most ``most`` points, the last one among them."""
    if len(points) <= most:
        return points
    step = len(points) / most
    return [points[int(number * step)] for number in range(most - 1)] + [points[-1]]


def _marks(ledger: Ledger | None) -> list[Mark]:
    calls = ledger.exits if ledger is not None else ()
    return [
        Mark(call.t / _NANO, f"ExitBootServices by {call.phase}: {status_text(call.status)}")
        for call in calls
    ]


def status_text(status: int | None) -> str:
    """Return how ExitBootServices answered, in words."""
    if status is None:
        return "it never returned"
    return "granted" if status == 0 else f"refused with {status:#x}"


def _exits(ledger: Ledger) -> Iterable[MapRow]:
    for call in ledger.exits:
        at, key = f"{call.t / _NANO:.3f} s", f"key {call.map_key:#x}"
        yield MapRow(at, key, call.phase, status_text(call.status), f"{call.rip:#x}")


def _accepted(ledger: Ledger) -> Iterable[MapRow]:
    for who in WHO:
        ranges = ledger.validated_by(who)
        if ranges:
            shown = [f"{start:#x}-{end - 1:#x}" for start, end in ranges]
            more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
            yield MapRow("", "", amount(ranges.size), who, ", ".join(shown[:8]) + more)


def _consoles(
    record: BootRecord, checks: Sequence[CheckLine], missing: list[str]
) -> Iterable[tuple[str, tuple[ConsoleLine, ...]]]:
    cited = {line.strip() for check in checks for finding in check.findings for line in finding.evidence}
    texts = {"serial": lambda: record.whole_text, "debugcon": lambda: record.debugcon_text}
    for name, read in texts.items():
        lines = (attempt(f"{name} console", read, missing) or "").splitlines()
        marked = {number for number, line in enumerate(lines) if line.strip() and _is_cited(line, cited)}
        yield name, tuple(_excerpt(lines, marked))


def _is_cited(line: str, cited: set[str]) -> bool:
    stripped = line.strip()
    return stripped in cited or any(stripped in one for one in cited if len(stripped) > 20)


def _excerpt(lines: Sequence[str], marked: set[int]) -> Iterable[ConsoleLine]:
    """Yield all lines, or of a long console its ends and what is around marked lines."""
    total = len(lines)
    keep = set(range(total))
    if total > _LONGEST:
        keep = {*range(_HEAD), *range(total - _TAIL, total)}
        for number in marked:
            keep.update(range(max(0, number - _AROUND), min(total, number + _AROUND + 1)))
    last = -1
    for number in sorted(keep):
        if number != last + 1:
            yield ConsoleLine(0, f"… {number - last - 1} lines left out …")
        yield ConsoleLine(number + 1, lines[number], number in marked)
        last = number
