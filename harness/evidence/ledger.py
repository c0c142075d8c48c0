# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reading an acceptance ledger, format ``snp-ledger`` version 2 (JSON Lines: ``docs/reference/ledger.md``).

Reading is strict: what version 2 does not define is refused, never skipped. It goes line by line, so that a
ledger that a guest has filled to its limit costs seconds and little memory.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from harness.evidence.ledger_model import (
    FORMAT,
    VERSION,
    Cut,
    Event,
    ExitCall,
    ExitMark,
    Fault,
    FromMinusOne,
    Ledger,
    Natural,
    Phase,
    Termination,
)
from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet
from harness.store.packing import holds_file, open_file

__all__ = ["Ledger", "read_ledger"]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HINT = "the ledger is damaged; boot the cell again"
_TAIL = 1 << 16
"""Bytes at the end in which a ledger that reached its limit says so: hardly anything follows that line."""
_SHARED = ("gpa", "size", "entry", "rip")
_SMALL, _MOST_SHARED = 256, 1 << 18
"""Numbers that come again are one object in memory; Python shares those up to 256 itself."""
_set = msgspec.structs.force_setattr
_WHO = 3
"""Of those who filled a ledger, how many a sentence names."""


class _Exit(msgspec.Struct, frozen=True, gc=False, tag="ebs"):
    event: ExitMark
    t: Natural
    vcpu: Natural
    rip: Natural
    phase: Phase
    map_key: Natural = msgspec.field(name="map-key")
    status: Natural | None = None


class _Cut(msgspec.Struct, frozen=True, gc=False, tag="cut"):
    limit: Natural


class _Reset(msgspec.Struct, frozen=True, gc=False, tag="reset"):
    t: Natural


class _End(msgspec.Struct, frozen=True, gc=False, tag="end"):
    pages: dict[str, dict[str, Natural]] = {}


class _Header(msgspec.Struct, frozen=True, tag="header"):
    format: str
    version: int
    page_size: Natural = msgspec.field(name="page-size", default=4096)
    ram: tuple[tuple[Natural, Natural], ...] = ()
    launch: Any = None


class _Named(msgspec.Struct, frozen=True):
    """What any header says, whatever its version."""

    type: str = ""
    format: str = ""
    version: FromMinusOne = -1


_LINE = msgspec.json.Decoder(Event | Fault | Termination | _Exit | _Cut | _Reset | _End)


@dataclass
class _Reading:
    """What has been read. ``keeps`` is false for a ledger that reached its limit: events are counted."""

    page_size: int
    keeps: bool
    events: list[Event] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    terminations: list[Termination] = field(default_factory=list)
    exits: list[ExitCall] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)
    end: dict[str, Any] | None = None
    cut: Cut | None = None
    shared: dict[int, int] = field(default_factory=dict)
    by: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def event(self, event: Event, number: int, where: str) -> None:
        if (event.gpa | event.size) % self.page_size:
            raise _damaged(where, f"'gpa' and 'size' must be multiples of the page size {self.page_size}")
        if self.keeps:
            _set(event, "line", number)
            for name in _SHARED:
                value = getattr(event, name)
                if value > _SMALL:
                    _set(event, name, self.shared.setdefault(value, value))
            if len(self.shared) > _MOST_SHARED:
                self.shared.clear()
            self.events.append(event)
        else:
            self.by[event.op, event.phase, event.rip] += 1

    def exit(self, line: _Exit, number: int, where: str) -> None:
        """Add a call of ExitBootServices, or to the last of them how it returned."""
        call = ExitCall(line.t, line.vcpu, line.map_key, line.rip, line.phase, number)
        if line.event == "call":
            if self.keeps:
                self.exits.append(call)
            return
        if line.status is None:
            raise _damaged(where, "'status' must be an integer of 0 or more")
        if not self.keeps:
            return
        last = self.exits[-1] if self.exits else None
        if last is None or last.returned or (last.rip, last.map_key) != (call.rip, call.map_key):
            raise _damaged(where, "ExitBootServices returns from a call that was not made")
        self.exits[-1] = msgspec.structs.replace(last, status=line.status, returned=number)

    def who(self) -> tuple[str, ...]:
        """Return who wrote most lines, in words."""
        total = self.by.total() or 1
        return tuple(
            f"{op} by {phase} at {rip:#x}: {lines} lines, {lines * 100 // total} % of all"
            for (op, phase, rip), lines in self.by.most_common(_WHO)
        )


def _damaged(where: str, what: str) -> EvidenceError:
    return EvidenceError(f"{where}: {what}", _HINT)


def _decode(decoder: msgspec.json.Decoder[Any], raw: bytes, where: str) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _damaged(where, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(where, f"not JSON: {error}") from error


def _header(path: Path, raw: bytes) -> tuple[int, IntervalSet, Any]:
    """Check the first line; give page size, RAM and the launch description."""
    where = f"{path}:1"
    if not raw.endswith(b"\n"):
        raise EvidenceError(f"{path}: the ledger is empty", "QEMU ended before it could write the header")
    named = _decode(msgspec.json.Decoder(_Named), raw, where)
    if named.type != "header" or named.format != FORMAT:
        raise _damaged(where, f"not the header of a {FORMAT}")
    if named.version != VERSION:
        raise EvidenceError(
            f"{where}: ledger version {named.version}, this harness reads {VERSION}",
            "use the harness version that belongs to this QEMU",
        )
    header = _decode(msgspec.json.Decoder(_Header), raw, where)
    if not header.page_size:
        raise _damaged(where, "'page-size' is 0")
    ram = IntervalSet.of((base, base + size) for base, size in header.ram)
    return header.page_size, ram, header.launch


def _reaches_limit(file: BinaryIO) -> bool:
    """Return whether a ledger says near its end that it took no more events; leave it at its start."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    found = any(b'"type":"cut"' in line.replace(b" ", b"") for line in file)
    file.seek(0)
    return found


def _numbered(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes, str]]:
    """Yield every whole line but the first; a last line without its newline was cut short and is left out."""
    for number, raw in enumerate(file, start=2):
        if not raw.endswith(b"\n"):
            return
        yield number, raw, f"{path}:{number}"


def read_ledger(path: Path) -> Ledger:
    """Read a whole ledger file, that of a packed record too.

    A missing end line (QEMU was killed), or the line of a ledger that reached its limit, gives a ledger that
    says ``truncated``. Anything that version 2 does not define, and any damaged line, is an EvidenceError
    with file and line.
    """
    if not holds_file(path):
        raise EvidenceError(f"{path}: no ledger there", "QEMU was started without one, or died at once")
    with open_file(path) as file:
        keeps = not _reaches_limit(file)
        page_size, ram, launch = _header(path, file.readline())
        reading = _Reading(page_size, keeps)
        for number, raw, where in _numbered(path, file):
            _take(reading, number, raw, where)
    if reading.cut is None and not keeps:
        raise _damaged(str(path), "a line says that it reached its limit, and is none of its own")
    cut = replace(reading.cut, by=reading.who()) if reading.cut is not None else None
    return Ledger(
        page_size,
        ram,
        launch,
        tuple(reading.events) if cut is None else (),
        tuple(reading.faults),
        tuple(reading.terminations),
        tuple(reading.exits),
        reading.end,
        cut,
        tuple(reading.resets),
    )


def _take(reading: _Reading, number: int, raw: bytes, where: str) -> None:
    """Add one line."""
    if reading.end is not None:
        raise _damaged(where, "a line after the end line")
    line = _decode(_LINE, raw, where)
    if reading.cut is not None and isinstance(line, Event | Fault | _Exit):
        raise _damaged(where, "an event after the line that says that there are no more")
    match line:
        case Event() as event:
            reading.event(event, number, where)
        case Fault() as fault:
            msgspec.structs.force_setattr(fault, "line", number)
            reading.faults.append(fault)
        case _Exit() as call:
            reading.exit(call, number, where)
        case Termination() as termination:
            msgspec.structs.force_setattr(termination, "line", number)
            reading.terminations.append(termination)
        case _Reset():
            reading.resets.append(number)
        case _Cut() as cut:
            reading.cut = Cut(cut.limit, number)
        case _End():
            document = _decode(msgspec.json.Decoder(dict[str, Any]), raw, where)
            reading.end = {key: value for key, value in document.items() if key != "type"}
