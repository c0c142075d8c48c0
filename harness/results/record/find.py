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
        raise HarnessError(f"{text}: a run, not a record", f"name one of its records: {_names(path)}")
    if is_there(path):
        return path
    run, slash, cell = text.rpartition("/")
    if not slash:
        found, hint = _newest(text, records), f"give {RECORD_HELP}"
    else:
        found, hint = _in_run(run, cell, records)
    if found is None:
        raise HarnessError(f"{text}: no such record", hint)
    return found


def _in_run(run: str, cell: str, records: Path) -> tuple[Path | None, str]:
    """Return a run's record of a cell, else what to do."""
    try:
        folder = find_run(run, records)
    except HarnessError as error:
        hint = error.what if run.startswith("last") else f"give {RECORD_HELP}"
    else:
        if cell and is_there(folder / cell):
            return folder / cell, ""
        hint = f"the run {folder.name} has {_names(folder)}"
    if cell and (newest := _newest(cell, records)) is not None:
        hint += f"; {cell} alone names its newest record, of the run {newest.parent.name}"
    return None, hint


def _newest(cell: str, records: Path) -> Path | None:
    found = (folder / cell for folder in reversed(run_folders(records)))
    return next(filter(is_there, found), None)


def _names(run: Path) -> str:
    """Return the names of a run's first records."""
    held = sorted(unpacked_name(inside) for inside in run.iterdir())
    names = [name for name in held if holds_file(run / name / INDEX)]
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "") or "none"
