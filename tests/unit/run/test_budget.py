# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Processes that share a host: never more than it has, first come first served, nothing lost with one."""

from __future__ import annotations

import json
import multiprocessing
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.run import budget
from harness.run.budget import BOOT, GUEST, Budget
from harness.run.pool import Demand
from harness.store import file_tree

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

ONE = Demand(1, 1024)
HOST = Demand(2, 10 * 1024)
WAIT = 40.0


class Holder(threading.Thread):
    """Asks for a part of the host, and keeps it until it is let go."""

    def __init__(self, budget: Budget, demand: Demand, kind: str = BOOT) -> None:
        super().__init__(daemon=True)
        self._budget, self._demand, self._kind = budget, demand, kind
        self._go = threading.Event()
        self.has = threading.Event()
        self.start()

    def run(self) -> None:
        with self._budget.hold(self._demand, self._kind):
            self.has.set()
            assert self._go.wait(WAIT)

    def let_go(self) -> None:
        self._go.set()
        self.join(WAIT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Budget.create(tmp_path / "budget", HOST)
    return tmp_path / "budget"


def test_nobody_meets_a_file_that_is_half_written(tmp_path: Path) -> None:
    """A process that is killed between any two steps leaves what is there then to all others."""
    path, before = tmp_path / "budget", sys.gettrace()
    seen: list[bytes] = []

    def look(frame: FrameType, _event: str, _argument: object) -> Any:
        if frame.f_code.co_filename in {budget.__file__, file_tree.__file__}:
            seen.extend([path.read_bytes()] if path.exists() else [])
        return look

    sys.settrace(look)
    try:
        with Budget.create(path, HOST).hold(ONE), Budget(path).hold(ONE, GUEST):
            pass
    finally:
        sys.settrace(before)
    states = [json.loads(it) if it else {} for it in seen]
    assert len(states) > 20
    assert [it for it in states if it.get("capacity") != [HOST.cpus, HOST.memory_mib, HOST.asids]] == []
    assert max(len(it["running"]) for it in states) == 2


def test_asids_are_shared(tmp_path: Path) -> None:
    shared = Budget.create(tmp_path / "few", Demand(8, 1 << 20, asids=1))
    guest = Demand(1, 1024, asids=1)
    first = Holder(shared, guest)
    assert first.has.wait(WAIT)
    second = Holder(shared, guest)
    assert waiting(tmp_path / "few", 1)
    assert not second.has.is_set()
    first.let_go()
    assert second.has.wait(WAIT)
    second.let_go()


def waiting(path: Path, count: int) -> bool:
    """Wait until so many wait; a reader can meet the file half written."""
    for _ in range(1000):
        text = path.read_text()
        if text.endswith("}") and len(json.loads(text)["waiting"]) == count:
            return True
        time.sleep(0.02)
    return False


def test_no_more_than_the_host_has(path: Path) -> None:
    first, second = Holder(Budget(path), ONE), Holder(Budget(path), ONE)
    assert first.has.wait(WAIT)
    assert second.has.wait(WAIT)
    third = Holder(Budget(path), ONE)
    assert not third.has.wait(0.4)
    first.let_go()
    assert third.has.wait(WAIT)
    for holder in (second, third):
        holder.let_go()
    assert json.loads(path.read_text()) | {"capacity": 0} == {"running": {}, "waiting": [], "capacity": 0}


def test_memory_counts(path: Path) -> None:
    large = Demand(1, 15 * 1024)
    first, second = Holder(Budget(path), large), Holder(Budget(path), large)
    while not (first.has.is_set() or second.has.is_set()):
        time.sleep(0.02)
    has, waits = (first, second) if first.has.is_set() else (second, first)
    assert not waits.has.wait(0.4)
    has.let_go()
    assert first.has.wait(WAIT)
    assert second.has.wait(WAIT)
    first.let_go()
    second.let_go()


def test_what_is_larger_than_the_host_runs_alone_and_is_not_overtaken(path: Path) -> None:
    small = Holder(Budget(path), ONE)
    assert small.has.wait(WAIT)
    large = Holder(Budget(path), Demand(8, 1 << 20))
    assert waiting(path, 1)
    late = Holder(Budget(path), ONE)
    assert not late.has.wait(0.4)  # it would fit
    assert not large.has.is_set()
    small.let_go()
    assert large.has.wait(WAIT)
    assert not late.has.wait(0.4)
    large.let_go()
    assert late.has.wait(WAIT)
    late.let_go()


def hold_for_ever(path: Path, has: object, kind: str = BOOT) -> None:
    with Budget(path).hold(Demand(2, 1024), kind):
        has.set()  # type: ignore[attr-defined]  # an Event of multiprocessing
        time.sleep(60)


def holder_of_its_own(path: Path, kind: str = BOOT) -> multiprocessing.process.BaseProcess:
    """Return a process that has its part; no fork, in which what other threads hold would stay held."""
    context = multiprocessing.get_context("spawn")
    has = context.Event()
    process = context.Process(target=hold_for_ever, args=(path, has, kind), daemon=True)
    process.start()
    assert has.wait(WAIT)
    return process


def test_what_a_dead_process_had_is_free(path: Path) -> None:
    process = holder_of_its_own(path)
    waits = Holder(Budget(path), ONE)
    assert not waits.has.wait(0.4)
    process.kill()
    process.join(WAIT)
    assert waits.has.wait(WAIT)
    waits.let_go()


def test_guests_at_work_take_their_share_and_come_after_boots(path: Path) -> None:
    running = Holder(Budget(path), Demand(2, 1024))
    assert running.has.wait(WAIT)
    guest = Holder(Budget(path), ONE, GUEST)
    assert waiting(path, 1)
    late = Holder(Budget(path), Demand(2, 1024))
    assert waiting(path, 2)
    running.let_go()
    assert late.has.wait(WAIT)
    assert not guest.has.is_set()
    late.let_go()
    assert guest.has.wait(WAIT)
    boots = [Holder(Budget(path), ONE) for _ in range(2)]
    assert waiting(path, 1)  # one fits beside the guest
    for holder in (guest, *boots):
        holder.let_go()
        assert holder.has.wait(WAIT)


def test_no_boot_waits_for_a_guest_and_no_guest_for_another_of_its_test(path: Path) -> None:
    """A test may wait for a boot while its guest runs: both would wait for ever."""
    with Budget(path).hold(HOST, GUEST):
        boot = Holder(Budget(path), HOST)
        assert boot.has.wait(WAIT)
        second = Holder(Budget(path), HOST, GUEST)
        assert second.has.wait(WAIT)
        boot.let_go()
        second.let_go()


def test_guests_of_several_processes_share_the_host(path: Path) -> None:
    process = holder_of_its_own(path, GUEST)
    guest = Holder(Budget(path), ONE, GUEST)
    assert not guest.has.wait(0.4)
    process.kill()
    process.join(WAIT)
    assert guest.has.wait(WAIT)
    guest.let_go()


def test_an_error_frees_its_part(path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), Budget(path).hold(HOST):
        raise ValueError("broken")
    with Budget(path).hold(HOST):
        pass
