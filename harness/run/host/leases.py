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
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HostError
from harness.platforms.sev.answers import asids
from harness.run.pool import UNCOUNTED, Demand, host_size

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
        return f"{self.user} (process {self.pid}) {does} {part} for {self.purpose} since {self.since}"


def folder() -> Path | None:
    """Return the host's folder of leases: ``HARNESS_LEASES`` or a usual place; None where there is none."""
    places = (Path(own),) if (own := os.environ.get(SETTING)) else _PLACES
    for place in places:
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):  # it is another's, and as that one made it
                place.chmod(0o1777)
            if os.access(place, os.W_OK | os.X_OK):
                return place
    return None


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
    ticket = here / f"{os.getpid()}-{next(_numbers)}{_SUFFIX}"
    has = _whole_host() if size is None else size
    with _ticket(here, ticket, demand, purpose) as descriptor:
        while not _admitted(here, descriptor, ticket, has):
            if not wait:
                raise _in_use(here, ticket)
            time.sleep(_POLL)
        yield


def _whole_host() -> Demand:
    counted = asids(Path("/"))
    return replace(host_size(), asids=UNCOUNTED if counted is None else counted.all)


@contextlib.contextmanager
def _ticket(place: Path, path: Path, demand: Demand, purpose: str) -> Iterator[int]:
    """Make a file that others can read, keep it locked, and take it away."""
    with _locked(place):  # nobody takes a file for a dead one's that is not locked yet
        order = max((lease.order for lease in _living(place)), default=0) + 1
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        wants = demand.cpus, demand.host_mib, demand.asids
        _write(descriptor, Lease(_user(), os.getpid(), purpose, since, order, *wants, waits=True))
    try:
        yield descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _in_use(place: Path, ticket: Path) -> HostError:
    own = _read(ticket).get("order")
    others = [str(lease) for lease in leases(place) if lease.order != own]
    return HostError(
        "the host is in use: " + "; ".join(others or ["somebody has just left it"]),
        "leave --no-wait out to wait; `harness leases` shows who has what",
    )


def _admitted(place: Path, descriptor: int, ticket: Path, has: Demand) -> bool:
    with _locked(place):
        own = Lease(**_read(ticket))
        others = [lease for lease in _living(place) if lease.order != own.order]
        if any(lease.waits and lease.order < own.order for lease in others):
            return False
        running = [(it.cpus, it.mib, it.guests) for it in others if not it.waits]
        wanted = zip((own.cpus, own.mib, own.guests), *running, strict=True)
        room = (has.cpus, has.memory_mib, has.asids)
        fits = all(sum(parts) <= there for parts, there in zip(wanted, room, strict=True))
        if running and not fits:
            return False
        _write(descriptor, Lease(**{**asdict(own), "waits": False}))
        return True


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    path = place / _LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with contextlib.suppress(PermissionError):
            path.chmod(0o666)  # whatever the umask says: every user takes this lock
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _living(place: Path, *, remove: bool = True) -> Iterator[Lease]:
    """Yield the leases whose owners live; who removes others' must hold the folder's lock."""
    for path in place.glob(f"*{_SUFFIX}"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # it has just been given back
        try:
            if not _free(descriptor):
                with contextlib.suppress(OSError, ValueError):  # made or given back this moment
                    yield Lease(**_read(path))
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


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _write(descriptor: int, lease: Lease) -> None:
    data = json.dumps(asdict(lease)).encode()
    os.pwrite(
        descriptor, data.ljust(_SIZE), 0
    )  # in one go: who reads without the folder's lock finds it whole
