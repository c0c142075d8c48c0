# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What goes: whole runs that are old, parts of records that nobody needs; and how the rest becomes small.

Some functions say what would go and why; ``remove`` does it. A run that goes on never goes.
"""

from __future__ import annotations

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.evidence.record import INDEX, ONLY_THE_BOOT_NEEDS
from harness.results.folder import StoredRun, goes_on, run_folders
from harness.results.model import BAD
from harness.store.file_tree import size_on_disk
from harness.store.packing import pack, packed_file, unpack, unpacked_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class Removal:
    """A folder or file to remove: how large it is in bytes, and why it goes."""

    path: Path
    size: int
    why: str


def parse_age(text: str) -> timedelta:
    """Read ``14d``, ``12h`` or ``2w``; HarnessError for anything else."""
    match = re.fullmatch(r"(\d+)([hdw])", text)
    if match is None:
        raise HarnessError(f"{text!r} is no age", "write a whole number with h, d or w: 14d")
    return int(match[1]) * _UNITS[match[2]]


def old_runs(records: Path, now: datetime, *, keep: timedelta, keep_failures: timedelta) -> list[Removal]:
    """Return the runs that are older than ``keep`` and, for runs with failures, than ``keep_failures``."""
    found = []
    for path in run_folders(records):
        try:
            run = StoredRun.load(path)
            began = datetime.fromisoformat(run.run.began)
        except (HarnessError, ValueError):
            continue  # what cannot be read is not ours to judge
        failed = any(line.state in BAD for line in run.checks) or run.end is None
        age = now - (began if began.tzinfo else began.replace(tzinfo=UTC))
        if age > (keep_failures if failed else keep) and not goes_on(path):
            why = f"{age.days} days old, {'with' if failed else 'without'} failures"
            found.append(Removal(path, size_on_disk(path), why))
    return found


def needless(record: Path) -> list[Removal]:
    """Return the parts of a record that a boot which is over does not need."""
    return [
        Removal(path, path.stat().st_size, "only its boot needed it")
        for path in sorted(record.iterdir())
        if path.is_file() and ONLY_THE_BOOT_NEEDS.match(path.name)
    ]


def remove(removals: Sequence[Removal]) -> None:
    """Remove what ``old_runs`` or ``needless`` name; OSError where that is refused."""
    for removal in removals:
        if removal.path.is_dir() and not removal.path.is_symlink():
            shutil.rmtree(removal.path)
        else:
            removal.path.unlink(missing_ok=True)


def passed_records(run: StoredRun) -> list[Path]:
    """Return the folders of the boots in which nothing is wrong.

    They are those of which every check says so; in a run that is green, all others, too.
    """
    bad = {line.record for line in run.checks if line.state in BAD}
    judged = {line.record for line in run.checks}
    return [
        path
        for path in record_folders(run.path)
        if path.name not in bad and (run.is_green or path.name in judged)
    ]


def record_folders(run: Path) -> list[Path]:
    """Return the folders of a run's records, the finished ones."""
    found = sorted(path.parent for path in run.glob(f"*/{INDEX}"))
    return [path for path in found if not path.name.startswith(".")]


def pack_record(record: Path) -> Path:
    """Put a record in one small file beside its place, and remove the folder; return the file.

    Every command that takes a record reads it as before. Whenever this is cut short, one of both is whole.
    """
    remove(needless(record))
    packed = packed_file(record)
    pack(record, packed)
    gone = record.with_name(f".{record.name}.gone")
    record.rename(gone)
    shutil.rmtree(gone)
    return packed


def pack_records(records: Sequence[Path]) -> None:
    """Pack records, several at once: zstd works beside Python."""
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(pack_record, records):
            pass


def unpack_record(packed: Path) -> Path:
    """Put a record's folder in the place of the file that ``pack_record`` made of it; return the folder."""
    record = packed.with_name(unpacked_name(packed))
    unpack(packed, record)
    packed.unlink()
    return record
