# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Stored records as a source: the cells are judged again, and nothing boots."""

from __future__ import annotations

import contextlib
import glob
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.artifacts.traits import Traits
from harness.errors import HarnessError
from harness.evidence.record import INDEX, BootRecord
from harness.formats.json_text import parsed
from harness.matrix.cell import Cell, platform_of
from harness.platforms.registry import platform_named
from harness.run.source import NotJudgedError, attempt_name
from harness.store.packing import holds_file, is_there, open_file, unpacked_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.recipes.catalog import Catalog

TRAITS = "traits.json"
"""The file beside a record that says what was booted: the cell, and what its ingredients could do."""


OWN = "own"
"""Its key for what of a machine no axis names: by option of ``harness boot``."""


@dataclass(frozen=True)
class Replay:
    """A folder of records, each in a folder that has the name of its cell, packed or not.

    ``catalog`` knows the actions of records that do not say what their files said.
    """

    path: Path
    catalog: Catalog

    def __post_init__(self) -> None:
        """Refuse a folder that is not there."""
        if not self.path.is_dir():
            raise HarnessError(f"--replay {self.path}: no such folder", "give a folder of boot records")

    def folder(self, cell: Cell, attempt: int = 1) -> Path:
        """Return the folder of the record of a cell's attempt."""
        return self.path / attempt_name(cell, attempt)

    def attempts(self, cell: Cell) -> tuple[int, ...]:
        """Return the numbers of the cell's attempts that the folder holds, in order."""
        names = self.path.glob(f"{glob.escape(attempt_name(cell, 2).removesuffix('2'))}*")
        further = {unpacked_name(path).rpartition("-")[2] for path in names}
        numbers = [int(text) for text in further if text.isdecimal()]
        return (*([1] if is_there(self.folder(cell)) else []), *sorted(numbers))

    def holds(self, cell: Cell) -> bool:
        """Return whether the folder holds a record of the cell."""
        return is_there(self.folder(cell)) or bool(self.attempts(cell))

    def traits(self, cell: Cell) -> Traits:
        """Return the traits that the boot left beside its record, and what its actions' files say.

        Records from before they said so take the facts of actions from the catalog. NotJudgedError where they
        are damaged.
        """
        first, *_ = *self.attempts(cell), 1
        try:
            traits = load_traits(self.folder(cell, first) / TRAITS)
        except HarnessError as error:
            raise NotJudgedError(error.what, error.hint) from error
        return traits if traits.actions else replace(traits, actions=self.catalog.actions_of(cell))

    def record(self, cell: Cell, attempt: int = 1) -> BootRecord:
        """Return the stored record."""
        return BootRecord.load(self.folder(cell, attempt))

    def platforms(self) -> frozenset[str]:
        """Return the platforms of the records; HarnessError for one that nothing here adds."""
        found: dict[str, Path] = {}
        for path in {self.path / unpacked_name(path) for path in self.path.iterdir()}:
            name = platform_of(path.name)
            if name and holds_file(path / INDEX):
                found.setdefault(name, path)
        return frozenset(platform_named(name, str(path)).name for name, path in found.items())

    def prepare(self) -> None:
        """Do nothing: a stored record needs nothing."""

    def start(self, boots: Iterable[tuple[Cell, int]]) -> None:
        """Do nothing: the records are there."""


def load_cell(path: Path) -> Cell | None:
    """Return the cell of the stored boot with this file; None when it is older than that, or damaged."""
    try:
        with open_file(path) as file:
            return Cell(**parsed(file.read())["cell"])
    except (HarnessError, OSError, ValueError, KeyError, TypeError):
        return None


def load_traits(path: Path) -> Traits:
    """Return what the ingredients of a stored boot could do; HarnessError for a damaged or changed file.

    They choose the checks: traits that are not those of the boot would leave out what it fails.
    """
    record = None
    with contextlib.suppress(HarnessError):  # of a damaged index, which the record's reader tells
        record = BootRecord.load(path.parent)
    if record is not None:
        record.vouch(path.name)
    try:
        with open_file(path) as file:
            return Traits.from_json(parsed(file.read()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"{path}: cannot be read ({error})", "boot the cell again") from error
