# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What goes: whole runs that are old, parts of records that nobody needs; and how the rest becomes small.

Pure functions say what would go and why; ``remove`` does it. A run that goes on never goes.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.results.folder import StoredRun, run_folders
from harness.results.model import BAD
from harness.results.packing import SUFFIX, pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_NEEDLESS = re.compile(r"^(?:disk\d+\.qcow2|.*-key|.*-key\.pub|known-hosts|guest-memory\.bin)$")
"""Parts of a record that only its boot needed: overlays with what the guest wrote, keys of one boot."""


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


def old_runs(
    records: Path, now: datetime, *, keep: timedelta, keep_failures: timedelta, in_use: Iterable[Path] = ()
) -> list[Removal]:
    """Return the runs that are older than ``keep`` and, for runs with failures, than ``keep_failures``."""
    used = set(in_use)
    found = []
    for path in run_folders(records):
        if path in used:
            continue
        try:
            run = StoredRun.load(path)
            began = datetime.fromisoformat(run.run.began)
        except (HarnessError, ValueError):
            continue  # what cannot be read is not ours to judge
        failed = any(line.state in BAD for line in run.checks) or run.end is None
        limit = keep_failures if failed else keep
        age = now - (began if began.tzinfo else began.replace(tzinfo=UTC))
        if age > limit:
            why = f"{age.days} days old, {'with' if failed else 'without'} failures"
            found.append(Removal(path, size_of(path), why))
    return found


def needless(record: Path) -> list[Removal]:
    """Return the parts of a record that a boot which is over does not need."""
    return [
        Removal(path, path.stat().st_size, "only its boot needed it")
        for path in sorted(record.iterdir())
        if path.is_file() and _NEEDLESS.match(path.name)
    ]


def remove(removals: Sequence[Removal]) -> None:
    """Remove what ``old_runs`` or ``needless`` name; OSError where that is refused."""
    for removal in removals:
        if removal.path.is_dir() and not removal.path.is_symlink():
            shutil.rmtree(removal.path)
        else:
            removal.path.unlink(missing_ok=True)


def pack_record(record: Path) -> Path:
    """Put a record in one small file beside its place, and remove the folder; return the file.

    Every command that takes a record reads it as before.
    """
    remove(needless(record))
    packed = record.with_name(record.name + SUFFIX)
    pack(record, packed)
    shutil.rmtree(record)
    return packed


def size_of(path: Path) -> int:
    """Return the bytes that a folder's files take on the disk: holes do not count."""
    return sum(file.lstat().st_blocks * 512 for file in path.rglob("*"))
