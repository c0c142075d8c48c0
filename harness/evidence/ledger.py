# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reading an acceptance ledger, format ``snp-ledger`` version 2 (JSON Lines: ``docs/reference/ledger.md``).

Reading is strict: what version 2 does not define is refused, never skipped.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from harness.evidence.ledger_model import (
    ACCESSES,
    EXIT_MARKS,
    FORMAT,
    NOT_ASKED,
    OPERATIONS,
    PHASES,
    REFUSALS,
    VERSION,
    Access,
    Event,
    ExitCall,
    Fault,
    Ledger,
    Operation,
    Phase,
    Refusal,
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


class _Line:
    """One line's object, with typed access whose errors name the file, the line and the key."""

    def __init__(self, where: str, values: dict[str, Any]) -> None:
        self.where = where
        self.values = values

    def error(self, what: str) -> EvidenceError:
        return EvidenceError(f"{self.where}: {what}", _HINT)

    def integer(self, key: str, least: int = 0) -> int:
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(f"{key!r} must be an integer of {least} or more, is {value!r}")
        return value

    def word(self, key: str, allowed: frozenset[str] | None = None) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or (allowed is not None and value not in allowed):
            known = f", known are: {', '.join(sorted(allowed))}" if allowed else ""
            raise self.error(f"{key!r} is {value!r}{known}")
        return value


def _lines(path: Path) -> Iterator[_Line]:
    """Yield every whole line; a last line without its newline was cut short and is left out."""
    with open_file(path) as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                return
            where = f"{path}:{number}"
            try:
                values = json.loads(raw)
            except ValueError as error:
                raise EvidenceError(f"{where}: not JSON: {error}", _HINT) from error
            if not isinstance(values, dict):
                raise EvidenceError(f"{where}: an object is needed, found {raw[:60]!r}", _HINT)
            yield _Line(where, values)


def _header(path: Path, lines: Iterator[_Line]) -> tuple[int, IntervalSet, Any]:
    """Check the first line; give page size, RAM and the launch description."""
    line = next(lines, None)
    if line is None:
        raise EvidenceError(f"{path}: the ledger is empty", "QEMU ended before it could write the header")
    if line.values.get("type") != "header" or line.values.get("format") != FORMAT:
        raise line.error(f"not the header of a {FORMAT}")
    version = line.integer("version")
    if version != VERSION:
        raise EvidenceError(
            f"{line.where}: ledger version {version}, this harness reads {VERSION}",
            "use the harness version that belongs to this QEMU",
        )
    try:
        ram = IntervalSet.of((int(base), int(base) + int(size)) for base, size in line.values["ram"])
    except (KeyError, TypeError, ValueError) as error:
        raise line.error(f"'ram' must be a list of [base, size] pairs: {error}") from error
    return line.integer("page-size"), ram, line.values.get("launch")


def _event(number: int, line: _Line, page_size: int) -> Event:
    event = Event(
        t=line.integer("t"),
        vcpu=line.integer("vcpu", least=-1),
        op=cast("Operation", line.word("op", OPERATIONS)),
        gpa=line.integer("gpa"),
        size=line.integer("size"),
        count=line.integer("count"),
        entry=line.integer("entry"),
        rip=line.integer("rip"),
        cpl=line.integer("cpl"),
        phase=cast("Phase", line.word("phase", PHASES)),
        line=number,
    )
    if event.gpa % page_size or event.size % page_size:
        raise line.error(f"'gpa' and 'size' must be multiples of the page size {page_size}")
    return event


def _fault(number: int, line: _Line) -> Fault:
    return Fault(
        t=line.integer("t"),
        vcpu=line.integer("vcpu", least=-1),
        op=cast("Refusal", line.word("op", REFUSALS)),
        gpa=line.integer("gpa"),
        rip=line.integer("rip"),
        cpl=line.integer("cpl"),
        access=cast("Access", line.word("access", ACCESSES)),
        phase=cast("Phase", line.word("phase", PHASES)),
        line=number,
    )


def _exit(number: int, line: _Line, calls: list[ExitCall]) -> None:
    """Add a call of ExitBootServices to ``calls``, or to the last of them how it returned."""
    call = ExitCall(
        t=line.integer("t"),
        vcpu=line.integer("vcpu"),
        map_key=line.integer("map-key"),
        rip=line.integer("rip"),
        phase=cast("Phase", line.word("phase", PHASES)),
        line=number,
    )
    if line.word("event", EXIT_MARKS) == "call":
        calls.append(call)
        return
    if not calls or calls[-1].returned or (calls[-1].rip, calls[-1].map_key) != (call.rip, call.map_key):
        raise line.error("ExitBootServices returns from a call that was not made")
    calls[-1] = replace(calls[-1], status=line.integer("status"), returned=number)


def read_ledger(path: Path) -> Ledger:
    """Read a whole ledger file, that of a packed record too.

    A missing end line (QEMU was killed), or the line of a ledger that reached its limit, gives a ledger that
    says ``truncated``. Anything that version 2 does
    not define, and any damaged line, is an EvidenceError with file and line.
    """
    if not holds_file(path):
        raise EvidenceError(f"{path}: no ledger there", "QEMU was started without one, or died at once")
    lines = _lines(path)
    page_size, ram, launch = _header(path, lines)
    events: list[Event] = []
    faults: list[Fault] = []
    terminations: list[Termination] = []
    exits: list[ExitCall] = []
    end: dict[str, Any] | None = None
    cut = False
    for number, line in enumerate(lines, start=2):
        if end is not None:
            raise line.error("a line after the end line")
        match line.values.get("type"):
            case "event":
                events.append(_event(number, line, page_size))
            case "fault":
                faults.append(_fault(number, line))
            case "ebs":
                _exit(number, line, exits)
            case "terminate":
                terminations.append(
                    Termination(
                        code_set=line.integer("set", least=NOT_ASKED),
                        code=line.integer("code", least=NOT_ASKED),
                        text=line.word("text"),
                        line=number,
                    )
                )
            case "cut":
                line.integer("limit")
                cut = True
            case "end":
                end = {key: value for key, value in line.values.items() if key != "type"}
            case other:
                raise line.error(f"unknown line type {other!r}")
    return Ledger(
        page_size, ram, launch, tuple(events), tuple(faults), tuple(terminations), tuple(exits), end, cut
    )
