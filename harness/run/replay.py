# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Stored records as a source: the cells are judged again, and nothing boots."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.artifacts.traits import Traits
from harness.errors import HarnessError
from harness.evidence.record import INDEX, BootRecord
from harness.matrix.axes import AXES
from harness.platforms.registry import platform_named

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.matrix.cell import Cell

TRAITS = "traits.json"
"""The file beside a record that says what the ingredients of its boot could do."""

_PLATFORM = AXES.index("platform")
"""Which part of a cell's id names its platform."""


@dataclass(frozen=True)
class Replay:
    """A folder of records, each in a folder that has the name of its cell."""

    path: Path

    def __post_init__(self) -> None:
        """Refuse a folder that is not there."""
        if not self.path.is_dir():
            raise HarnessError(f"--replay {self.path}: no such folder", "give a folder of boot records")

    def folder(self, cell: Cell) -> Path:
        """Return the folder of the cell's record."""
        return self.path / cell.id

    def holds(self, cell: Cell) -> bool:
        return self.folder(cell).is_dir()

    def traits(self, cell: Cell) -> Traits:
        """Return the traits that the boot left beside its record."""
        return load_traits(self.folder(cell) / TRAITS)

    def record(self, cell: Cell) -> BootRecord:
        """Return the stored record."""
        return BootRecord.load(self.folder(cell))

    def platforms(self) -> frozenset[str]:
        """Return the platforms of the records; HarnessError for one that nothing here adds."""
        found: dict[str, Path] = {}
        for path in self.path.iterdir():
            parts = path.name.split("+")
            if len(parts) > _PLATFORM and (path / INDEX).is_file():
                found.setdefault(parts[_PLATFORM], path)
        return frozenset(platform_named(name, str(path)).name for name, path in found.items())

    def prepare(self) -> None:
        """Do nothing: a stored record needs nothing."""

    def start(self, cells: Iterable[Cell]) -> None:
        """Do nothing: the records are there."""


def load_traits(path: Path) -> Traits:
    """Return what the ingredients of a stored boot could do; HarnessError for a damaged file."""
    try:
        return Traits.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"{path}: cannot be read ({error})", "boot the cell again") from error
