# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which code of their firmware cells execute: each boots once with QEMU's log of what it translates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.evidence.symbols.executed import COVERAGE_LOG, executed
from harness.evidence.symbols.firmware import belonging, firmware_symbols
from harness.evidence.symbols.places import Places
from harness.run.single.boot import SingleBoot, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.evidence.record import BootRecord
    from harness.evidence.symbols.debug_file import DebugFile
    from harness.intervals import IntervalSet
    from harness.matrix.cell import Cell
    from harness.run.session import Session


@dataclass(frozen=True)
class Executed:
    """What one boot executed, by module; ``files`` are the symbols of all modules of its firmware."""

    record: BootRecord
    ranges: Mapping[DebugFile, IntervalSet]
    files: Mapping[str, DebugFile]


def executed_by(cells: Iterable[Cell], session: Session, symbols: Path | None) -> Iterator[Executed]:
    """Boot cells one after the other, each into a folder of the session's records; yield what each executed.

    HarnessError for firmware without symbols, and for ``symbols`` that are of another image.
    """
    for cell in cells:
        image = session.ingredients.firmware(cell.firmware).path
        if symbols is None and not (image.parent / "symbols").is_dir():
            raise HarnessError(
                f"{cell.firmware} has no symbols, so its code has no lines",
                "take firmware that the harness builds (--firmware stock-2025.02), or name --symbols DIR",
            )
        own = belonging(symbols, image) if symbols is not None else None
        prepared = prepare(session, SingleBoot(cell, record=session.records / cell.id, coverage=True))
        session.progress(f"booting {cell.id}")
        yield of_record(prepared.boot(), own)


def of_record(record: BootRecord, own: Mapping[str, DebugFile] | None = None) -> Executed:
    """Return what the boot of a record executed; HarnessError for one without the log, or symbols."""
    files, why = (own, "") if own is not None else firmware_symbols(record)
    if not files:
        raise HarnessError(f"{record.cell}: {why}", "name --symbols DIR")
    log = record.bytes_of(COVERAGE_LOG)
    if not log:
        raise HarnessError(f"{record.path}: its boot did not log what it executed", "name its cell instead")
    ranges = executed(log.decode(errors="replace"), Places(record).modules, files)
    return Executed(record, ranges, files)
