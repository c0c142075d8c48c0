# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a record holds, each part read by itself: a damaged one is named and hides no other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from harness.errors import HarnessError
from harness.evidence.e820 import parse_e820, ranges_of_kind
from harness.evidence.evidence import handed_over
from harness.evidence.host.kernel_trace import read_kernel_trace
from harness.evidence.ledger import read_ledger
from harness.evidence.memory_map import USABLE_TYPES, ranges_of
from harness.evidence.problems import EvidenceError
from harness.evidence.record import BootRecord, Ending, EndingKind
from harness.evidence.symbols.whose_code import attributed
from harness.formats.json_text import parsed
from harness.intervals import amount
from harness.machine.spec import KERNEL_TRACE
from harness.results.folder import VERDICT
from harness.results.model import CheckLine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.evidence.e820 import E820Entry
    from harness.evidence.host.kernel_trace import KernelTrace
    from harness.evidence.ledger_model import Ledger
    from harness.evidence.memory_map import MemoryDescriptor
    from harness.intervals import IntervalSet

_T = TypeVar("_T")
_TRAITS = "traits.json"
_UNACCEPTED = "Unaccepted"
_NANO = 1e9


@dataclass(frozen=True)
class RecordFacts:
    """A record's parts.

    ``record`` is None where its index cannot be read; ``files`` reads the rest even then. ``before`` is the
    map that the firmware handed over, ``after`` the e820 map; ``cell`` and ``traits`` are as in
    ``traits.json``. ``missing`` says what could not be read, and why.
    """

    path: Path
    files: BootRecord
    record: BootRecord | None
    cell: Mapping[str, Any] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[MemoryDescriptor, ...] = ()
    after: tuple[E820Entry, ...] = ()
    ledger: Ledger | None = None
    kernel_trace: KernelTrace | None = None
    checks: tuple[CheckLine, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The cell's id, else the folder's name."""
        return self.record.cell if self.record is not None else self.path.name

    @property
    def seconds(self) -> float:
        """How long the guest ran."""
        if self.record is None:
            return 0.0
        return self.record.durations.get("boot", 0.0) or max((it.t for it in self.record.phases), default=0.0)

    @property
    def usable_before(self) -> IntervalSet:
        """What the firmware's map lets the kernel use, unaccepted memory too."""
        return ranges_of(self.before, *USABLE_TYPES, _UNACCEPTED)

    @property
    def usable_after(self) -> IntervalSet:
        """What the e820 map lets the kernel use."""
        return ranges_of_kind(self.after, "usable")


def read_facts(path: Path) -> RecordFacts:
    """Return all that the record in ``path`` shows, packed or not; HarnessError where there is no record."""
    missing: list[str] = []
    record = attempt("boot.json", lambda: BootRecord.load(path), missing)
    nothing = Ending(EndingKind.QEMU_EXIT, "", "", "")
    files = record or BootRecord(path=path, cell=path.name, platform="", ending=nothing)
    missing += [error.what.removeprefix(f"{path}/") for error in files.damaged()]
    files = replace(files, files={})  # what is damaged is shown as far as it goes
    if record is None and not any(files.bytes_of(name) for name in ("serial.log", "ledger.jsonl", _TRAITS)):
        raise HarnessError(missing[0].removeprefix("boot.json: "), "give a record's folder, or a capsule")
    ledger_path = files.ledger_path
    ledger = None
    if ledger_path is not None:
        ledger = attempt("ledger.jsonl", lambda: read_ledger(ledger_path), missing)
        if ledger is not None and ledger.cut is not None:
            limit = amount(ledger.cut.limit)
            missing.append(f"ledger.jsonl: it reached its limit of {limit}: it shows no events")
        elif ledger is not None and ledger.truncated:
            missing.append("ledger.jsonl: it has no end line: QEMU was killed, or the file was cut")
    elif record is not None and attempt("boot.json", lambda: "ledger" in record.confidential, missing):
        missing.append("ledger.jsonl: it is not there, though QEMU was to write it")
    missing += _short(files)
    traced = None
    if files.holds(KERNEL_TRACE):
        traced = attempt(KERNEL_TRACE, lambda: read_kernel_trace(files), missing)
    before = attempt("memory map", lambda: handed_over(files), missing) or ()
    stored = attempt(_TRAITS, lambda: _json(files, _TRAITS), missing) or {}
    return RecordFacts(
        path=path,
        files=files,
        record=record,
        cell=_mapping(stored.get("cell")),
        traits={key: value for key, value in stored.items() if key != "cell"},
        before=before,
        after=attempt("e820", lambda: parse_e820(files.serial_text), missing) or (),
        ledger=attributed(ledger, before) if ledger is not None else None,
        kernel_trace=traced,
        checks=attempt(VERDICT, lambda: _checks(files), missing) or (),
        missing=tuple(missing),
    )


def attempt(what: str, read: Callable[[], _T], missing: list[str]) -> _T | None:
    """Return what ``read`` does; where it cannot, None, and ``missing`` says why."""
    try:
        return read()
    except (HarnessError, EvidenceError) as error:
        missing.append(f"{what}: {str(error).partition(chr(10))[0]}")
    except (ValueError, OSError) as error:
        missing.append(f"{what}: damaged ({str(error).partition(chr(10))[0]})")
    return None


def _short(files: BootRecord) -> list[str]:
    """Return which consoles' logs are gone, or hold other than what the index counts."""
    found = []
    for name, size in files.consoles.items():
        log, wanted = files.bytes_of(f"{name}.log"), size.bytes - size.dropped
        if not log and wanted:
            found.append(f"{name}.log: it is not there, or empty; {wanted} bytes came")
        elif not size.dropped and len(log) != wanted:
            found.append(f"{name}.log: it holds {len(log)} bytes, {wanted} came")
    return found


def _json(files: BootRecord, name: str) -> dict[str, Any]:
    data = files.bytes_of(name)
    return dict(_mapping(parsed(data))) if data else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _checks(files: BootRecord) -> tuple[CheckLine, ...]:
    document = _json(files, VERDICT)
    try:
        return tuple(CheckLine.model_validate_json(json.dumps(line)) for line in document.get("checks", ()))
    except (ValidationError, TypeError) as error:
        raise HarnessError(f"damaged ({str(error).partition(chr(10))[0]})") from None


def seconds_of(nanoseconds: int) -> float:
    """Return a ledger's time in seconds."""
    return nanoseconds / _NANO
