# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the records of a run come from, and what else the runs of all its cells share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.debian.suite import has_left
from harness.errors import ExitCode, HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.artifacts.traits import Traits
    from harness.evidence.record import BootRecord
    from harness.evidence.signatures.signatures import Signatures
    from harness.matrix.cell import Cell
    from harness.recipes.catalog import Catalog


class RecordSource(Protocol):
    """Boots (`Boots`) or stored records (`Replay`): one record for each cell, and the traits beside it."""

    def holds(self, cell: Cell) -> bool:
        """Return whether the source has, or can make, a record of the cell."""

    def traits(self, cell: Cell) -> Traits:
        """Return the traits of the cell's ingredients; HarnessError when these cannot be had."""

    def prepare(self) -> None:
        """Make what the records of all cells need, so that waiting and failures show before the first."""

    def start(self, boots: Iterable[tuple[Cell, int]]) -> None:
        """Begin to make the records of cells and attempts, in this order, and return; each is made once."""

    def record(self, cell: Cell, attempt: int = 1) -> BootRecord:
        """Return the record of a cell's attempt, waiting for it; without one always the same HarnessError."""

    def folder(self, cell: Cell, attempt: int = 1) -> Path:
        """Return the folder of the record of a cell's attempt."""


def attempt_name(cell: Cell, attempt: int) -> str:
    """Return the name of the record's folder: the cell's id, and of further attempts ``ID+attempt-2``."""
    return cell.id if attempt == 1 else f"{cell.id}+attempt-{attempt}"


class NotJudgedError(HarnessError):
    """Nothing that a cell would leave could be judged; the others of its scenario are not concerned."""

    exit_code = ExitCode.WRONG


def concerns_one_cell(error: HarnessError) -> bool:
    """Return whether an error of a cell's ingredients leaves the other cells of its scenario to run."""
    return isinstance(error, NotJudgedError) or has_left(error)


@dataclass(frozen=True)
class Context:
    """What `CellRun` needs: the recipes, where records come from, what lines mean."""

    catalog: Catalog
    source: RecordSource
    signatures: Signatures
