# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Advisory file locks that die with their owner (``flock``); a word to the user while one waits.

Whoever may write to a lock's folder may take the lock: a group can share a cache.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def make_whole(path: Path, mode: int) -> None:
    """Make an empty file with these permissions, whatever the umask says, unless it is there.

    Nobody meets it with others: its name is the last thing that it gets. OSError where that cannot be.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    new = Path(name)
    try:
        os.fchmod(descriptor, mode)
        with contextlib.suppress(FileExistsError):  # somebody was faster
            os.link(new, path)
    finally:
        os.close(descriptor)
        new.unlink()


def _open(path: Path) -> int:
    """Open a lock, made as open to others as its folder is; HostError where that cannot be.

    What is there is opened without O_CREAT: of another user's file in a sticky folder Linux refuses that.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, os.O_RDWR | os.O_CLOEXEC)
            make_whole(path, path.parent.stat().st_mode & 0o666)
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise _not_ours(path, error) from error


def _not_ours(path: Path, error: OSError) -> HostError:
    """Return the message for a lock that cannot be had; it names whose the lock or its folder is."""
    choose = "choose another place with HARNESS_CACHE"
    there = path if path.exists() else next(each for each in path.parents if each.exists())
    if error.errno != errno.EACCES or (uid := there.stat().st_uid) == os.geteuid():
        return HostError(
            f"cannot write below {path.parent}: {error.strerror}", f"make the cache writable, or {choose}"
        )
    return HostError(
        f"{there} is user {_user(uid)}'s, and you may not write to it",
        f"a group shares a cache whose folder has setgid, and with umask 002: chmod -R g+w it, or {choose}",
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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
