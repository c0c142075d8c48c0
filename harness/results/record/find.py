# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A RECORD of the command line: a record's folder, a capsule, ``RUN/CELL``, a cell's id."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError
from harness.evidence.record import INDEX
from harness.results.folder import RUN, find_run, run_folders
from harness.store.packing import SUFFIX, holds_file, is_there, unpacked_name

RECORD_HELP = "a record's folder, a capsule, RUN/CELL such as last/CELL, or a cell's id: its newest record"
_SHOWN = 5


def find_record(text: str, records: Path) -> Path:
    """Return where the record is that a user means, for whatever reads records, packed or not.

    ``records`` is the folder of runs. HarnessError, with what was meant, where there is none.
    """
    path = Path(text).absolute()
    if path.name.endswith(SUFFIX) and path.is_file():
        return path.with_name(unpacked_name(path))
    if (path / RUN).is_file():
        held = sorted(unpacked_name(inside) for inside in path.iterdir())
        names = [name for name in held if holds_file(path / name / INDEX)]
        shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
        raise HarnessError(f"{text}: a run, not a record", f"name one of its records: {shown or 'none'}")
    if is_there(path):
        return path
    run, slash, cell = text.rpartition("/")
    if slash and (found := _in_run(run, cell, records)) is not None:
        return found
    for folder in reversed(run_folders(records)):
        if not slash and is_there(folder / text):
            return folder / text
    raise HarnessError(f"{text}: no such record", f"give {RECORD_HELP}")


def _in_run(run: str, cell: str, records: Path) -> Path | None:
    try:
        found = find_run(run, records) / cell
    except HarnessError:
        return None
    return found if is_there(found) else None
