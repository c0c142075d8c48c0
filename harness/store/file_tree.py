# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Directory trees as the store sees them: quick look, digests, flushing to disk, removal."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FEW_FILES = 64


def digest_file(path: Path) -> str:
    """SHA-256 of a file's contents, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(root: str, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(root) as entries:
        for entry in entries:
            relative = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, relative + "/")
            else:
                yield relative, entry


def quick_look(root: Path) -> dict[str, list[int] | str]:
    """Every file's ``[size in bytes, mtime in ns]`` and every symbolic link's target, by relative path."""
    look: dict[str, list[int] | str] = {}
    for relative, entry in _walk(str(root)):
        if entry.is_symlink():
            look[relative] = str(Path(entry.path).readlink())
        else:
            status = entry.stat(follow_symlinks=False)
            look[relative] = [status.st_size, status.st_mtime_ns]
    return look


def digest_tree(root: Path, leave_out: frozenset[str] = frozenset()) -> dict[str, dict[str, int | str]]:
    """Every file as ``{"sha256": …, "size": …}`` and every symbolic link as ``{"link": …}``, sorted by path.

    Raises HarnessError for anything else (device, socket, pipe): an artifact has no use for it.
    """
    digests: dict[str, dict[str, int | str]] = {}
    for relative, entry in sorted(_walk(str(root)), key=lambda item: item[0]):
        if relative in leave_out:
            continue
        if entry.is_symlink():
            digests[relative] = {"link": str(Path(entry.path).readlink())}
        elif entry.is_file(follow_symlinks=False):
            size = entry.stat(follow_symlinks=False).st_size
            digests[relative] = {"sha256": digest_file(Path(entry.path)), "size": size}
        else:
            raise HarnessError(f"{entry.path} is neither a file, a directory nor a symbolic link")
    return digests


def make_read_only(root: Path) -> None:
    """Take the write permission from every file: shared artifacts are read, overlays are written."""
    for _, entry in _walk(str(root)):
        if not entry.is_symlink():
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            # chmod and not os.open flags: the owner may still remove the entry, directories stay writable.
            Path(entry.path).chmod(mode & ~0o222)


def flush(root: Path) -> None:
    """Bring a tree to the disk, so that a rename never outlives its contents across a power cut."""
    files = [entry.path for _, entry in _walk(str(root)) if entry.is_file(follow_symlinks=False)]
    if len(files) > _FEW_FILES:
        # One fsync per file of a module tree takes longer than unpacking it.
        os.sync()
        return
    for path in [*files, str(root)]:
        flush_one(Path(path))


def flush_one(path: Path) -> None:
    """Bring one file's contents, or one directory's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(root: Path) -> None:
    """Remove a tree, also one with directories that packages made read-only; absent is fine."""
    if root.is_symlink() or root.is_file():
        root.unlink(missing_ok=True)
        return
    for directory, _, _ in os.walk(root):
        status = Path(directory).stat()
        if status.st_uid == os.geteuid() and status.st_mode & 0o700 != 0o700:
            Path(directory).chmod(0o700)
    # A killed build's children may still write here for a moment: what is left goes with the next sweep.
    shutil.rmtree(root, ignore_errors=True)


def size_on_disk(root: Path) -> int:
    """Return the bytes that a file, or a folder's files, take on the disk: holes do not count."""
    paths = root.rglob("*") if root.is_dir() else (root,)
    return sum(path.lstat().st_blocks * 512 for path in paths)


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` so that a reader sees the old or the new contents, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        flush_one(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def only(root: Path, pattern: str) -> Path:
    """Return the one file below ``root`` that matches a glob; HarnessError when there is none or several."""
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        raise HarnessError(
            f"{root}: {len(found)} files match {pattern}, expected one", "the package's layout is not known"
        )
    return found[0]
