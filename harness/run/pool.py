# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Run boots side by side: as many as the host has processors and memory for."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import HostError
from harness.store.compilers import host_mib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.evidence.record import BootRecord

_OVERHEAD_MIB = 256
"""QEMU itself, its translation cache and the page cache of its files."""
TOUCHED = 0.5
"""Share of its RAM that Linux touches at most in these boots; acceptance alone touches nothing."""
VCPUS_PER_CPU = 4
"""A guest's further vCPUs mostly wait: with four it takes 1.2 processors (``boot-smp`` of bench/)."""


@dataclass(frozen=True)
class Demand:
    """What one boot takes of the host."""

    cpus: int
    """Processors."""
    memory_mib: int
    touched: float = TOUCHED
    """Share of its RAM that the guest touches at most."""
    asids: int = 0
    """Confidential guests on hardware: a host runs as many at once as it has ASIDs. Their memory cannot be
    paged out."""

    @property
    def host_mib(self) -> int:
        return _OVERHEAD_MIB + int(self.memory_mib * self.touched)


UNCOUNTED = 1 << 20
"""ASIDs of a host that counts none."""


def refuse_unevictable(demand: Demand, available: Demand) -> None:
    """Raise HostError where a hardware guest takes more memory than the host has now.

    KVM takes it page by page and gives none back: the host would kill something, the guest perhaps.
    """
    if demand.asids and demand.host_mib > available.memory_mib:
        raise HostError(
            f"the guest takes {demand.host_mib} MiB that cannot be paged out, and the host has "
            f"{available.memory_mib} MiB left",
            "end other guests and programs, or choose a smaller memory",
        )


def host_capacity() -> Demand:
    """Return this host's processors, and its memory in MiB that is available now."""
    return _host("MemAvailable")


def host_size() -> Demand:
    """Return this host's processors and all of its memory in MiB."""
    return _host("MemTotal")


def _host(memory: str) -> Demand:
    return Demand(len(os.sched_getaffinity(0)), host_mib(memory))


class BootPool:
    """Boots in submission order; the next one starts when it fits beside those that run.

    Guests at work in a test have their share, too, but no boot waits for one, for the test may wait for the
    boot: the first in the queue starts when no other boot runs.

    A boot that is larger than the whole host runs alone. Threads are daemons: leaving the program never waits
    for a guest, and QEMU dies with the harness.
    """

    def __init__(self, capacity: Demand) -> None:
        self._cpus = capacity.cpus
        self._mib = capacity.memory_mib
        self._asids = capacity.asids
        self._running = 0
        self._guests = 0
        self._queue: deque[tuple[Demand, Callable[[], BootRecord], Future[BootRecord]]] = deque()
        self._lock = threading.Condition()

    def submit(self, demand: Demand, boot: Callable[[], BootRecord]) -> Future[BootRecord]:
        """Queue a boot; the future carries its record, or what ``boot`` raised."""
        future: Future[BootRecord] = Future()
        with self._lock:
            self._queue.append((demand, boot, future))
            self._start()
        return future

    @contextmanager
    def hold(self, demand: Demand) -> Iterator[None]:
        """Hold a share for a guest at work, once it fits and no boot waits; a second guest does not wait."""
        with self._lock:
            self._lock.wait_for(lambda: self._guests or self._has_room(demand))
            self._guests += 1
            self._take(demand, 1)
        try:
            yield
        finally:
            with self._lock:
                self._guests -= 1
                self._take(demand, -1)
                self._start()

    def cancel(self) -> None:
        """Forget the boots that have not started."""
        with self._lock:
            while self._queue:
                self._queue.popleft()[2].cancel()
            self._lock.notify_all()

    def _fits(self, demand: Demand) -> bool:
        room = demand.cpus <= self._cpus and demand.host_mib <= self._mib
        return room and demand.asids <= self._asids

    def _has_room(self, demand: Demand) -> bool:
        return not self._queue and (not self._running or self._fits(demand))

    def _take(self, demand: Demand, times: int) -> None:
        self._cpus -= times * demand.cpus
        self._mib -= times * demand.host_mib
        self._asids -= times * demand.asids
        self._lock.notify_all()

    def _start(self) -> None:
        while self._queue:
            demand, boot, future = self._queue[0]
            if self._running and not self._fits(demand):
                return
            self._queue.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            self._running += 1
            self._take(demand, 1)
            threading.Thread(target=self._run, args=(demand, boot, future), daemon=True).start()

    def _run(self, demand: Demand, boot: Callable[[], BootRecord], future: Future[BootRecord]) -> None:
        try:
            record = boot()
        except BaseException as error:  # noqa: BLE001  # whatever it is, it belongs to who asked for the boot
            future.set_exception(error)
        else:
            future.set_result(record)
        finally:
            with self._lock:
                self._running -= 1
                self._take(demand, -1)
                self._start()
