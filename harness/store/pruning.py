# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What of the cache nobody has used for long: entries of the store, work trees, package indexes, logs.

Each is a folder with its lock beside it, ``.NAME.lock``. One whose lock is held, or of which a process has a
file open, is in use. What goes is made anew when it is needed again.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.store import file_tree
from harness.store.locks import held_now

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDERS = ("store/*/*", "edk2/*", "apt/*")
_FILES = "logs/*"
_GOING = ".tmp-pruned."


@dataclass(frozen=True)
class Unused:
    """A folder or file of the cache: its bytes on the disk, and for how many seconds nobody has used it."""

    path: Path
    size: int
    age: float


def unused(cache: Path, seconds: float) -> list[Unused]:
    """Return what nobody has used for as long as that and nobody uses now, the oldest first.

    What a build that was killed has left counts as never used.
    """
    open_now = _open_files()
    found = []
    for path in _candidates(cache):
        age = time.time() - (0 if _is_leftover(path) else last_used(path))
        if age > seconds and not _is_open(path, open_now) and not _is_locked(path):
            found.append(Unused(path, file_tree.size_on_disk(path), age))
    return sorted(found, key=lambda it: (-it.age, it.path))


def prune(found: Unused) -> bool:
    """Remove what ``unused`` has found and return true; false when somebody has come to use it."""
    path = found.path
    if path.is_file():
        path.unlink(missing_ok=True)
        return True
    with held_now(_lock(path)) as free:
        before = last_used(path)
        if not free or not path.exists():
            return False
        if _is_leftover(path):
            file_tree.remove(path)
            return True
        going = path.with_name(f"{_GOING}{path.name}.{os.getpid()}")
        path.rename(going)
        if last_used(path) > before:
            going.rename(path)  # between the look and the renaming
            return False
        _seal(path).unlink(missing_ok=True)
        file_tree.remove(going)
    return True


def last_used(path: Path) -> float:
    """Return when somebody last used a folder or file of the cache, in seconds since 1970.

    Whoever uses an entry of the store touches its seal, and its lock whoever builds in a folder.
    """
    times = [0.0]
    for each in (_seal(path), _lock(path), path / "provenance.json", path):
        with contextlib.suppress(OSError):
            times.append(each.stat().st_mtime)
    return max(times)


def _candidates(cache: Path) -> Iterator[Path]:
    for pattern in _FOLDERS:
        for path in sorted(cache.glob(pattern)):
            if path.is_dir() and (not path.name.startswith(".") or _is_leftover(path)):
                yield path
    yield from (path for path in sorted(cache.glob(_FILES)) if path.is_file())


def _is_leftover(path: Path) -> bool:
    return path.name.startswith(".tmp-")


def _lock(path: Path) -> Path:
    """Return the lock of a folder; that of a leftover is the lock of what was built in it."""
    name = path.name
    if _is_leftover(path):
        name = name.removeprefix(_GOING).removeprefix(".tmp-").rpartition(".")[0]
    return path.with_name(f".{name}.lock")


def _seal(path: Path) -> Path:
    return path.with_name(f".{path.name}.seal")


def _is_locked(path: Path) -> bool:
    if not _lock(path).exists():
        return False
    with held_now(_lock(path)) as free:
        return not free


def _open_files() -> frozenset[str]:
    """Return the files that processes have open or mapped; of other users' processes only root sees them."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        links = [process / "cwd"]
        with contextlib.suppress(OSError):
            links += (process / "fd").iterdir()
        for link in links:
            with contextlib.suppress(OSError):  # closed by now
                found.add(str(link.readlink()))
        with contextlib.suppress(OSError):
            mapped = (process / "maps").read_text(encoding="utf-8", errors="replace")
            found |= {line[line.index("/") :] for line in mapped.splitlines() if "/" in line}
    return frozenset(found)


def _is_open(path: Path, open_now: frozenset[str]) -> bool:
    real = str(path.resolve())
    return any(name == real or name.startswith(f"{real}/") for name in open_now)
