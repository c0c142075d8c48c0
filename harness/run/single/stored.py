# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A stored boot: judged by what its record says, or made again, whatever scenario it came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.choice import choose_firmware
from harness.artifacts.kernel.choice import choose_kernel
from harness.errors import HarnessError
from harness.evidence.record import INDEX, BootRecord
from harness.formats.json_text import parsed
from harness.run.find_cell import find_cell
from harness.run.replay import OWN, TRAITS, load_cell, load_traits
from harness.run.single.boot import OneRecord, judged, run_of
from harness.run.single.parts import Own
from harness.store.packing import SUFFIX, holds_file, is_there, open_file, unpacked_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.artifacts.traits import Traits
    from harness.matrix.cell import Cell
    from harness.run.cell_run import CellRun
    from harness.run.judge import Answer
    from harness.run.session import Session

ARTIFACTS = "artifacts"
"""The folder of a record that holds files which came along with it."""
QEMU = "qemu"
_DEEPEST = 3
"""Folders below the one that is named: a folder of runs, a run, a record."""


@dataclass(frozen=True)
class StoredBoot:
    """A record, and what was booted. ``own`` are a user's own files, by option."""

    record: BootRecord
    cell: Cell
    traits: Traits
    own: Mapping[str, str]

    @property
    def path(self) -> Path:
        """Where the record is."""
        return self.record.path


def stored_boot(path: Path, session: Session) -> StoredBoot:
    """Return what the record in ``path`` holds; HarnessError for a damaged one.

    A record from before its cell was written is of the cell that its id names.
    """
    record = BootRecord.load(path)
    cell = load_cell(path / TRAITS) or find_cell(record.cell, session)
    traits = load_traits(path / TRAITS)
    if not traits.actions:
        traits = replace(traits, actions=session.ingredients.catalog.actions_of(cell))
    with open_file(path / TRAITS) as file:
        own = parsed(file.read()).get(OWN, {})
    return StoredBoot(record, cell, traits, own if isinstance(own, dict) else {})


def records_below(path: Path) -> Iterator[Path]:
    """Yield the records of a folder, packed or not: it is one itself, a run, or holds such folders."""
    packed = path.name.endswith(SUFFIX) and path.is_file()
    here = path.with_name(unpacked_name(path)) if packed else path
    if is_there(here) and holds_file(here / INDEX):
        yield here
    elif here.is_dir():
        yield from _below(here, _DEEPEST)


def _below(folder: Path, deep: int) -> Iterator[Path]:
    for name in sorted({unpacked_name(inside) for inside in folder.iterdir() if inside.name[0] != "."}):
        inside = folder / name
        if is_there(inside) and holds_file(inside / INDEX):
            yield inside
        elif deep > 1 and inside.is_dir() and not inside.is_symlink():
            yield from _below(inside, deep - 1)


def judge_stored(stored: StoredBoot, session: Session) -> tuple[CellRun, list[Answer]]:
    """Return the run of a stored boot, and what the model's questions give."""
    run = run_of(OneRecord(stored.cell, stored.record, stored.traits), session)
    return run, judged(run)


def verdict(record: BootRecord, answers: Iterable[Answer]) -> dict[str, str]:
    """Return what two boots of a cell are compared by: how each ended, and the state of each check."""
    states = {answer.check.name: answer.state for answer in answers}
    return {"ending": f"{record.ending.kind} in phase {record.ending.phase}", **states}


def answers_as_data(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """Return answers for programs: a check's name and state, what it found, and why it has its state."""
    return [
        {
            "check": answer.check.name,
            "state": answer.state,
            "findings": [finding.what for finding in answer.findings],
            "reason": answer.reason,
        }
        for answer in answers
    ]


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between two verdicts, a sentence each."""
    keys = dict.fromkeys((*before, *now))
    return [
        f"{key}: {before.get(key, 'not asked')} → {now.get(key, 'not asked')}"
        for key in keys
        if before.get(key) != now.get(key)
    ]


def provide(stored: StoredBoot, session: Session) -> Own:
    """Make the ingredients of a stored boot available under their names; return the user's own files.

    A recipe of that name builds it again. Without one, the very file that was booted has to be there: beside
    the record, or where it was. HarnessError says which cannot be had, and why. A record's own QEMU is not
    run: whoever has sent it could have any program run.
    """
    ingredients, cell = session.ingredients, stored.cell
    catalog = ingredients.catalog
    if cell.firmware not in catalog.firmware:
        file = _same_file(stored, "firmware", cell.firmware)
        ingredients.add_firmware(replace(choose_firmware(f"file:{file}", catalog), name=cell.firmware))
    if cell.kernel not in catalog.kernels:
        file = _same_file(stored, "kernel", cell.kernel)
        ingredients.add_kernel(replace(choose_kernel(f"file:{file}", catalog), name=cell.kernel))
    ingredients.loader_recipe(cell.loader)
    own = {name: _own_file(stored, name, text) for name, text in stored.own.items()}
    return Own(own.get("initrd", ""), own.get("disk", ""))


def rebuildable(stored: StoredBoot, session: Session) -> dict[str, str]:
    """Return of each ingredient that another machine has no recipe of, why it cannot be rebuilt there."""
    catalog, cell = session.ingredients.catalog, stored.cell
    why = {}
    if cell.firmware not in catalog.firmware:
        why["firmware"] = f"{cell.firmware} is no recipe"
    if cell.kernel not in catalog.kernels:
        why["kernel"] = f"{cell.kernel} is no recipe"
    if cell.loader.startswith("file-"):
        why["loader"] = f"{cell.loader} is no recipe"
    return why | {name: f"{text} is a file of the user's own" for name, text in stored.own.items()}


def _own_file(stored: StoredBoot, name: str, text: str) -> str:
    along = stored.path / ARTIFACTS / name
    return f"file:{along}" if along.is_file() else text


def _same_file(stored: StoredBoot, name: str, of: str) -> Path:
    """Return the very file that was booted; HarnessError when it is not there any more."""
    given = stored.record.inputs.get(name)
    places = [stored.path / ARTIFACTS / name]
    if given is not None and given.path is not None:
        places.append(Path(given.path))
    for place in places:
        if given is not None and place.is_file():
            with place.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == given.sha256:
                    return place
    what = f"SHA-256 {given.sha256}" if given is not None else "the record has no digest of it"
    raise HarnessError(
        f"{stored.cell.id}: the {name} {of} cannot be rebuilt: no recipe has this name, and the file that "
        f"was booted is not here ({what})",
        "unpack a capsule that was packed with --with-artifacts, or put the file where it was",
    )
