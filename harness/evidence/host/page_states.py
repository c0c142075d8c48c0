# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The page state changes of a boot, as the host carried them out: QEMU's trace events (``trace.log``).

On hardware they are all that a host sees of acceptance, for PVALIDATE leaves the guest never; the emulation
emits the same. How much a figure says is its strength: of the changes themselves ``exact``; of acceptance an
``upper bound``, for a page may be made private and never validated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalAccumulator, IntervalSet
from harness.machine.console import LEFT_OUT
from harness.machine.spec import TRACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.evidence.record import BootRecord

Strength = Literal["exact", "per range", "upper bound"]
By = Literal["launch", "request", "fault"]
"""Who changed a page: QEMU at launch, the guest by a request, or by an access (implicit conversion)."""

PAGE, LARGE = 4096, 2 << 20
_LINE = re.compile(
    r"^(?:\d+@(?P<t>\d+\.\d+):|(?P<clock>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) )?"
    r"(?P<event>\w+) (?P<fields>.*)$"
)
"""With ``-msg timestamp=on``: QEMU 9 and 10 begin with the process and the seconds since 1970, 11 with the
time as its messages have it."""
_NUMBER = r"0x([0-9a-f]+)"
_FORMS = {
    "kvm_sev_snp_launch_update": re.compile(rf"src {_NUMBER} gpa {_NUMBER} len {_NUMBER} \((\w+) page\)"),
    "kvm_hc_map_gpa_range": re.compile(rf"gpa {_NUMBER} size {_NUMBER} attributes {_NUMBER} flags {_NUMBER}"),
    "kvm_memory_fault": re.compile(rf"start {_NUMBER} size {_NUMBER} flags {_NUMBER}"),
    "kvm_convert_memory": re.compile(
        rf"start {_NUMBER} size {_NUMBER} (shared_to_private|private_to_shared)"
    ),
}
"""QEMU 9.1 to 11.1, the ``trace-events`` of ``accel/kvm``, ``target/i386`` and ``target/i386/kvm``."""
_ENCRYPTED, _SIZE_2M = 1 << 4, 1 << 0  # attributes of KVM_HC_MAP_GPA_RANGE
_FAULT_PRIVATE = 1 << 3  # flags of KVM_EXIT_MEMORY_FAULT
_HINT = "look at QEMU's version: its trace events must be those of 9.1 to 11"


@dataclass(frozen=True)
class Change:
    """Pages that became private or shared; bytes. ``t``: seconds since the guest was let run, None unknown.

    ``entry``: the page size by which the guest asked, 0 where it did not ask.
    """

    start: int
    end: int
    private: bool
    by: By
    entry: int
    t: float | None
    line: int

    def __str__(self) -> str:
        """Return it as findings show it."""
        when = "" if self.t is None else f", t={self.t:.6f} s"
        to = "private" if self.private else "shared"
        return (
            f"{TRACE} line {self.line}: {IntervalSet.span(self.start, self.end)} to {to} by {self.by}{when}"
        )

    @property
    def asked(self) -> int:
        """How many entries of a request it stands for."""
        return -(-(self.end - self.start) // self.entry) if self.entry else 1


@dataclass(frozen=True)
class PageStates:
    """All changes of a boot in the order of the trace. ``cut``: the last line is not whole."""

    changes: tuple[Change, ...]
    cut: bool = False

    @property
    def lives(self) -> tuple[PageStates, ...]:
        """The changes of each life of a guest that QEMU launched anew: each begins with a launch."""
        parts: list[list[Change]] = [[]]
        for change in self.changes:
            if change.by == "launch" and parts[-1] and parts[-1][-1].by != "launch":
                parts.append([])
            parts[-1].append(change)
        return tuple(PageStates(tuple(part), self.cut) for part in parts)

    def select(self, by: By, *, private: bool = True, within: IntervalSet | None = None) -> Iterator[Change]:
        """Yield changes of one kind, with ``within`` those that touch it."""
        for change in self.changes:
            same = change.by == by and change.private is private
            if same and (within is None or within & IntervalSet.span(change.start, change.end)):
                yield change

    def covered(self, by: By, *, private: bool = True) -> IntervalSet:
        """Return all pages that went through changes of one kind."""
        return covered(self.select(by, private=private))

    def shared(self, until: float | None = None) -> IntervalSet:
        """Return the pages that are shared at a time, or at the end."""
        now = IntervalAccumulator()
        for change in self.changes:
            if until is not None and (change.t is None or change.t >= until):
                continue
            (now.remove if change.private else now.add)(change.start, change.end)
        return now.frozen()


def covered(changes: Iterable[Change]) -> IntervalSet:
    """Return all pages of the changes."""
    return IntervalSet.of((change.start, change.end) for change in changes)


def read_page_states(record: BootRecord) -> PageStates:
    """Return the page state changes of a stored boot; EvidenceError without a trace that is known here."""
    if not record.holds(TRACE):
        raise EvidenceError(f"there is no {TRACE}", "QEMU traced nothing: boot the cell again")
    data = record.bytes_of(TRACE)
    if LEFT_OUT.partition(b" ")[0] in data:
        raise EvidenceError(f"{TRACE} was cut: the record was full", "find out what wrote without end")
    return parse_page_states(data.decode(errors="replace"), _let_run(record))


def _let_run(record: BootRecord) -> float | None:
    """Return when the guest was let run, in seconds since 1970."""
    try:
        return datetime.fromisoformat(record.started).timestamp() + record.durations["launch"]
    except (ValueError, KeyError):
        return None


def parse_page_states(text: str, zero: float | None = None) -> PageStates:
    """Read a trace; ``zero`` is the time from which changes count, in seconds since 1970.

    EvidenceError for events of another form than QEMU's known ones, for a conversion that nobody asked for
    and for a trace without a launch: such a trace is of a QEMU that is not known, and nothing is guessed.
    """
    lines = text.split("\n")
    cut = bool(lines.pop())
    changes: list[Change] = []
    converted: dict[tuple[int, int, bool], int] = {}
    for number, line in enumerate(lines, start=1):
        event, fields, at = _fields(number, line)
        t = None if at is None or zero is None else at - zero
        if event == "kvm_convert_memory":
            start, size = (int(field, 16) for field in fields[:2])
            key = start, start + size, fields[2] == "shared_to_private"
            converted[key] = converted.get(key, 0) - 1
            continue
        change = _change(event, fields, t, number)
        if change.by != "launch":
            key = change.start, change.end, change.private
            converted[key] = converted.get(key, 0) + 1
        changes.append(change)
    lost = [key for key, count in converted.items() if count]
    if len(lost) > cut:  # the conversion behind the last event may be what was cut
        start, end, _ = lost[0]
        what = f"{TRACE}: requests and conversions of {IntervalSet.span(start, end)} do not agree"
        raise EvidenceError(what, _HINT)
    if not any(change.by == "launch" for change in changes):
        raise EvidenceError(f"{TRACE}: no page was launched", _HINT)
    return PageStates(tuple(changes), cut)


def event_of(line: str) -> tuple[str, str, float | None] | None:
    """Return a line's event, its fields and the seconds since 1970, None without; None for another line."""
    found = _LINE.match(line)
    if found is None:
        return None
    at = float(found["t"]) if found["t"] else None
    if found["clock"]:
        at = datetime.fromisoformat(found["clock"]).timestamp()
    return found["event"], found["fields"], at


def _fields(number: int, line: str) -> tuple[str, tuple[str, ...], float | None]:
    event, text, at = event_of(line) or ("", "", None)
    form = _FORMS.get(event)
    fields = form.fullmatch(text) if form is not None else None
    if fields is None:
        raise EvidenceError(f"{TRACE}:{number}: no event that is known here: {line[:80]!r}", _HINT)
    return event, fields.groups(), at


def _change(event: str, fields: tuple[str, ...], t: float | None, line: int) -> Change:
    if event == "kvm_sev_snp_launch_update":
        start, size = int(fields[1], 16), int(fields[2], 16)
        return Change(start, start + size, True, "launch", 0, t, line)
    start, size, flags = (int(field, 16) for field in fields[:3])
    if event == "kvm_memory_fault":
        return Change(start, start + size, bool(flags & _FAULT_PRIVATE), "fault", 0, t, line)
    entry = LARGE if flags & _SIZE_2M else PAGE
    return Change(start, start + size, bool(flags & _ENCRYPTED), "request", entry, t, line)
