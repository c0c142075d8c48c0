# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Records that a run takes over from an earlier one, because the boot would be the same; each says so."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from harness.errors import HarnessError
from harness.formats.json_text import parsed, write_json
from harness.results.folder import VERDICT
from harness.store.packing import open_file, packed_file, unpack

CARRIED = "carried.json"
"""The file in a record that was taken over: the run that booted it."""
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}


def take_over(record: Path, folder: Path, run: str) -> None:
    """Make ``folder``, which is not there yet, of a record of ``run``, whole or not at all.

    Files are shared by hard links where the file system allows it: whoever writes to a record replaces its
    files. The verdict stays behind, for the record is judged anew.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = tempfile.mkdtemp(prefix=".carried-", dir=folder.parent)
    try:
        copy = Path(made, folder.name)
        if record.is_dir():
            shutil.copytree(record, copy, copy_function=_link)
        else:
            unpack(packed_file(record), copy)
        (copy / VERDICT).unlink(missing_ok=True)
        if not (copy / CARRIED).exists():  # one that was carried before names the run that booted it
            write_json(copy / CARRIED, {"run": run})
        copy.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def carried_from(record: Path) -> str:
    """Return the id of the run that booted a record which was taken over; "" for a run's own."""
    try:
        with open_file(record / CARRIED) as file:
            return str(parsed(file.read())["run"])
    except (HarnessError, OSError, ValueError, KeyError, TypeError):
        return ""


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy2(source, target, follow_symlinks=False)
