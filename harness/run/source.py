# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the records of a run come from: whoever judges a cell asks a source for its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.artifacts.traits import Traits
    from harness.evidence.record import BootRecord
    from harness.matrix.cell import Cell


class RecordSource(Protocol):
    """Boots (`Boots`) or stored records (`Replay`): one record for each cell, and the traits beside it."""

    def holds(self, cell: Cell) -> bool:
        """Return whether the source has, or can make, a record of the cell."""

    def traits(self, cell: Cell) -> Traits:
        """Return the traits of the cell's ingredients; HarnessError when these cannot be had."""

    def prepare(self) -> None:
        """Make what the records of all cells need, so that waiting and failures show before the first."""

    def start(self, cells: Iterable[Cell]) -> None:
        """Begin to make the cells' records, in this order, and return; each is made once."""

    def record(self, cell: Cell) -> BootRecord:
        """Return the cell's record, waiting for it; HarnessError, the same each time, when there is none."""

    def folder(self, cell: Cell) -> Path:
        """Return the folder of the cell's record."""
