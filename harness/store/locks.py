# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Advisory file locks that die with their owner (``flock``); a word to the user while one waits."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING

from harness.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.progress import Progress


PATIENCE = 1.0
"""Seconds of silent waiting before a message says what the wait is for."""
_POLL = 0.05
_NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT}


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise HostError(
            f"cannot write below {path.parent}: {error.strerror}",
            "make the cache writable, or choose another place with HARNESS_CACHE",
        ) from error


def _owner(descriptor: int) -> str:
    pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return f"process {pid}" if pid else "another process"


@contextlib.contextmanager
def held(path: Path, what: str, progress: Progress, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock ``path``; ``what`` completes the sentence "waiting for process 12 to finish …".

    Two threads of one process exclude each other as well. The file stays behind: removing it would let two
    owners hold "the same" lock.
    """
    descriptor = _open(path)
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        give_up = time.monotonic() + PATIENCE
        while not (got := _try(descriptor, operation)) and time.monotonic() < give_up:
            time.sleep(_POLL)
        if not got:
            progress(f"waiting for {_owner(descriptor)} to finish {what}")
            fcntl.flock(descriptor, operation)
        if not shared:
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held_now(path: Path) -> Iterator[bool]:
    """Hold the lock for the block if nobody else does; yields whether it is held."""
    descriptor = _open(path)
    try:
        yield _try(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)
