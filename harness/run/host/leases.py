# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One host for the boots of all its users: who has which part of it, what for, and since when.

A lease is a file that its owner keeps locked: the lock dies with the process, whoever's it is. All leases are
in one folder of the host, which everybody may write to and where nobody removes another's (sticky).
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import itertools
import os
import stat
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.errors import HostError
from harness.evidence.text import printable
from harness.platforms.sev.answers import asids
from harness.run.pool import UNCOUNTED, Demand, host_size
from harness.store.locks import make_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTING = "HARNESS_LEASES"
_PLACES = (Path("/run/lock/ovmf-acceptance"), Path("/tmp/ovmf-acceptance-leases"))  # noqa: S108  # sticky, as made here
_POLL = 0.2
"""Seconds between two looks; next to boots of many seconds, no time."""
_LOCK = "lock"
_SUFFIX = ".lease"
_SIZE = 1024
_numbers = itertools.count()


@dataclass(frozen=True)
class Lease:
    """A part of the host that somebody has, or waits for. ``since`` is ISO 8601 in UTC."""

    user: str
    pid: int
    purpose: str
    since: str
    order: int
    cpus: int
    mib: int
    guests: int
    waits: bool

    def __str__(self) -> str:
        """Return it as messages show it."""
        does = "waits for" if self.waits else "has"
        part = f"{self.cpus} processors and {self.mib} MiB"
        if self.guests:
            part += f", {self.guests} hardware guests,"
        return f"{self.user} (process {self.pid}) {does} {part} for {self.purpose} since {self.since}"


def folder() -> Path | None:
    """Return the host's folder of leases: ``HARNESS_LEASES`` or a usual place; None where there is none."""
    places = (Path(own),) if (own := os.environ.get(SETTING)) else _PLACES
    for place in places:
        with contextlib.suppress(OSError):
            _make(place)
            # Anybody can put a link where the folder is to be, and it is not followed.
            if stat.S_ISDIR(place.lstat().st_mode) and os.access(place, os.W_OK | os.X_OK):
                return place
    return None


def _make(place: Path) -> None:
    """Make the folder unless it is there; it stays as whoever made it wanted it.

    Nobody meets it before all may write to it: its name is the last thing that it gets.
    """
    if place.is_symlink() or place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        new.chmod(0o1777)  # whatever the umask says
        new.rename(place)
    except OSError:  # somebody was faster
        new.rmdir()


def leases(place: Path) -> list[Lease]:
    """Return who has or waits for which part of the host, in the order in which they came."""
    return sorted(_living(place, remove=False), key=lambda lease: lease.order)


@contextlib.contextmanager
def held(
    demand: Demand, purpose: str, *, wait: bool = True, place: Path | None = None, size: Demand | None = None
) -> Iterator[None]:
    """Hold a part of the host while something boots; first come, first served.

    Without ``wait``, HostError where it is not free now. What is larger than the host runs alone. ``size``:
    what the host has. Nothing is held where there is no place for leases.
    """
    here = folder() if place is None else place
    if here is None:
        yield
        return
    has = _whole_host() if size is None else size
    with _ticket(here, demand, purpose) as (descriptor, ticket):
        while not _admitted(here, descriptor, ticket, has):
            if not wait:
                raise _in_use(here, ticket)
            time.sleep(_POLL)
        yield


def _whole_host() -> Demand:
    counted = asids(Path("/"))
    return replace(host_size(), asids=UNCOUNTED if counted is None else counted.all)


@contextlib.contextmanager
def _ticket(place: Path, demand: Demand, purpose: str) -> Iterator[tuple[int, Path]]:
    """Make a file that others can read, keep it locked, and take it away; give its descriptor and path."""
    with _locked(place):  # nobody takes a file for a dead one's that is not locked yet
        order = max((lease.order for lease in _living(place)), default=0) + 1
        descriptor, path = _new_file(place)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        wants = demand.cpus, demand.host_mib, demand.asids
        _write(descriptor, Lease(_user(), os.getpid(), purpose, since, order, *wants, waits=True))
    try:
        yield descriptor, path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _new_file(place: Path) -> tuple[int, Path]:
    """Make a file of our own; a name that is taken, by a link or by a dead process of our number, is left."""
    while True:
        path = place / f"{os.getpid()}-{next(_numbers)}{_SUFFIX}"
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            os.fchmod(descriptor, 0o644)  # whatever the umask says; a lease that others cannot read is none
            return descriptor, path


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _in_use(place: Path, ticket: Path) -> HostError:
    own = _read(ticket)
    others = [str(lease) for lease in leases(place) if lease.order != own.order]
    return HostError(
        "the host is in use: " + "; ".join(others or ["somebody has just left it"]),
        "leave --no-wait out to wait; `harness leases` shows who has what",
    )


def _admitted(place: Path, descriptor: int, ticket: Path, has: Demand) -> bool:
    with _locked(place):
        own = _read(ticket)
        others = [lease for lease in _living(place) if lease.order != own.order]
        if any(lease.waits and lease.order < own.order for lease in others):
            return False
        running = [(it.cpus, it.mib, it.guests) for it in others if not it.waits]
        wanted = zip((own.cpus, own.mib, own.guests), *running, strict=True)
        room = (has.cpus, has.memory_mib, has.asids)
        fits = all(sum(parts) <= there for parts, there in zip(wanted, room, strict=True))
        if running and not fits:
            return False
        _write(descriptor, replace(own, waits=False))
        return True


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    descriptor = _open_lock(place / _LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    """Open the lock that every user takes; HostError where that cannot be.

    No link is followed. What is there is opened without O_CREAT: of another user's file in such a folder
    Linux refuses that (fs.protected_regular).
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        while True:
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, flags)
            make_whole(path, 0o666)
    except OSError as error:
        raise HostError(
            f"{path}: leases of this host cannot be locked: {error.strerror}",
            f"remove it, or name another folder that all may write to in {SETTING}",
        ) from error


def _living(place: Path, *, remove: bool = True) -> Iterator[Lease]:
    """Yield the leases whose owners live; who removes others' must hold the folder's lock."""
    for path in place.glob(f"*{_SUFFIX}"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue  # it has just been given back, or is no file
        try:
            if not _free(descriptor):
                with contextlib.suppress(OSError, msgspec.DecodeError):  # given back, or nobody's lease
                    yield _read(path)
            elif remove:
                with contextlib.suppress(OSError):  # another's: who made it, or root, removes it
                    path.unlink()
        finally:
            os.close(descriptor)


def _free(descriptor: int) -> bool:
    """Return whether nobody holds the lock of an open file: its owner is gone."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(path: Path) -> Lease:
    """Return a lease; its words are another user's, and no terminal gets more of them than their letters."""
    found = msgspec.json.decode(path.read_bytes(), type=Lease)
    return replace(found, user=printable(found.user), purpose=printable(found.purpose))


def _write(descriptor: int, lease: Lease) -> None:
    data = msgspec.json.encode(lease)
    os.pwrite(
        descriptor, data.ljust(_SIZE), 0
    )  # in one go: who reads without the folder's lock finds it whole
