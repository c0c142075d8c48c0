# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots side by side: in order, never more than the host holds, and none forgotten."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HostError
from harness.matrix.cell import Cell
from harness.recipes.catalog import load_catalog
from harness.run.estimate import (
    boot_seconds,
    by_end,
    by_record,
    demand_of,
    longest_first,
    recorded_seconds,
)
from harness.run.pool import BootPool, Demand, host_capacity, host_size, refuse_unevictable
from tests.support.expectations import FIRMWARE, KERNEL, expected
from tests.support.runs import boot, check, end, write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.evidence.record import BootRecord
    from harness.results.model import Line

WAIT = 10.0


class Boots:
    """Boots that last until they are let go, and what was seen of them."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self._gates: dict[str, threading.Event] = {}
        self._change = threading.Condition()

    def make(self, name: str) -> Callable[[], BootRecord]:
        gate = self._gates[name] = threading.Event()

        def boot() -> BootRecord:
            with self._change:
                self.started.append(name)
                self._change.notify_all()
            assert gate.wait(WAIT)
            return cast("BootRecord", f"record of {name}")

        return boot

    def let_go(self, *names: str) -> None:
        for name in names:
            self._gates[name].set()

    def expect(self, *names: str) -> None:
        """Wait until these boots, and no others, have started."""
        with self._change:
            self._change.wait_for(lambda: len(self.started) >= len(names), WAIT)
            self._change.wait_for(lambda: len(self.started) > len(names), 0.05)
            assert sorted(self.started) == sorted(names)


@pytest.fixture
def boots() -> Boots:
    return Boots()


def test_as_many_as_processors(boots: Boots) -> None:
    pool = BootPool(Demand(cpus=2, memory_mib=100_000))
    futures = [pool.submit(Demand(1, 2048), boots.make(name)) for name in "abc"]
    boots.expect("a", "b")
    boots.let_go("b")
    assert str(futures[1].result(WAIT)) == "record of b"
    boots.expect("a", "b", "c")
    boots.let_go("a", "c")
    assert [str(future.result(WAIT)) for future in futures] == [f"record of {name}" for name in "abc"]


def test_as_many_as_memory_holds(boots: Boots) -> None:
    demand = Demand(1, 8192)
    pool = BootPool(Demand(cpus=16, memory_mib=2 * demand.host_mib + 100))
    futures = [pool.submit(demand, boots.make(name)) for name in "abc"]
    boots.expect("a", "b")
    boots.let_go("a", "b", "c")
    assert futures[2].result(WAIT)


def test_a_boot_larger_than_the_host_runs_alone(boots: Boots) -> None:
    pool = BootPool(Demand(cpus=2, memory_mib=4096))
    small, large, after = Demand(1, 1024), Demand(8, 65536), Demand(1, 1024)
    sizes = {"small": small, "large": large, "after": after}
    futures = [pool.submit(size, boots.make(name)) for name, size in sizes.items()]
    boots.expect("small")  # "after" would fit, but must not overtake
    boots.let_go("small")
    boots.expect("small", "large")
    boots.let_go("large", "after")
    assert futures[2].result(WAIT)
    assert boots.started == ["small", "large", "after"]


def test_what_a_boot_raises_belongs_to_its_asker_and_frees_its_place(boots: Boots) -> None:
    pool = BootPool(Demand(cpus=1, memory_mib=4096))

    def broken() -> BootRecord:
        raise ValueError("broken")

    failed = pool.submit(Demand(1, 1024), broken)
    good = pool.submit(Demand(1, 1024), boots.make("good"))
    boots.let_go("good")
    with pytest.raises(ValueError, match="broken"):
        failed.result(WAIT)
    assert good.result(WAIT)


def test_a_guest_at_work_takes_its_share_and_comes_after_the_boots_that_wait(boots: Boots) -> None:
    pool = BootPool(Demand(cpus=2, memory_mib=100_000))
    one = Demand(1, 1024)
    futures = [pool.submit(one, boots.make(name)) for name in "abc"]
    boots.expect("a", "b")
    held, over = threading.Event(), threading.Event()

    def work() -> None:
        with pool.hold(one):
            held.set()
            over.wait(WAIT)

    guest = threading.Thread(target=work, daemon=True)
    guest.start()
    boots.let_go("a")
    boots.expect("a", "b", "c")
    assert not held.is_set()
    boots.let_go("b")
    assert held.wait(WAIT)
    futures.append(pool.submit(one, boots.make("d")))
    boots.expect("a", "b", "c")  # c and the guest have both processors
    over.set()
    boots.expect("a", "b", "c", "d")
    boots.let_go("c", "d")
    assert [future.result(WAIT) for future in futures]
    guest.join(WAIT)


def test_a_test_may_wait_for_any_boot_while_its_guest_runs(boots: Boots) -> None:
    host = Demand(cpus=2, memory_mib=4096)
    pool = BootPool(host)
    with pool.hold(host), pool.hold(host):
        future = pool.submit(host, boots.make("a"))
        boots.expect("a")
        boots.let_go("a")
        assert future.result(WAIT)


def test_cancel_forgets_what_has_not_started(boots: Boots) -> None:
    pool = BootPool(Demand(cpus=1, memory_mib=4096))
    running, queued = (pool.submit(Demand(1, 1024), boots.make(name)) for name in ("running", "queued"))
    boots.expect("running")
    pool.cancel()
    assert queued.cancelled()
    boots.let_go("running", "queued")
    assert running.result(WAIT)
    boots.expect("running")


def test_host_capacity() -> None:
    capacity = host_capacity()
    assert capacity.cpus >= 1
    assert 64 < capacity.memory_mib < 1 << 25


def test_host_size() -> None:
    assert host_size().memory_mib >= host_capacity().memory_mib


def test_which_boots_are_long() -> None:
    def seconds(*, probe: bool = False, eager: bool = False, **axes: Any) -> float:
        kernel = replace(KERNEL, probe=probe)
        told = expected(FIRMWARE, kernel, axes.pop("memory", 8192), "snp", **axes)
        return boot_seconds(replace(told, outcome="eager" if eager else "lazy"))

    usual = seconds()
    assert seconds(probe=True) < usual < seconds(eager=True) < seconds(eager=True, memory=65536)
    assert usual == seconds(memory=65536)  # what is left unaccepted takes no time
    assert usual < seconds(guest="debian-trixie")
    assert usual < seconds(vcpus=2) < seconds(vcpus=4)
    assert (
        usual < seconds(action="reboot") < seconds(action="touch:1024") < seconds(action="touch:1024 kexec")
    )


def test_the_longest_starts_first_and_the_shortest_is_ready_first() -> None:
    lengths = {"a": 3.0, "b": 9.0, "c": 3.0, "d": 5.0}
    start = longest_first(list(lengths), lengths.__getitem__)
    assert start == ["b", "d", "a", "c"]
    one = Demand(1, 1024)
    host = Demand(2, 65536)
    # b: 0 to 9, d: 0 to 5, a: 5 to 8, c: 8 to 11.
    assert by_end(start, lengths.__getitem__, lambda _: one, host) == ["d", "a", "b", "c"]
    assert by_end(start, lengths.__getitem__, lambda _: one, Demand(1, 65536)) == start
    assert by_end(start, lengths.__getitem__, lambda _: Demand(4, 1024), host) == start
    assert by_end(start, lengths.__getitem__, lambda _: one, Demand(2, one.host_mib)) == start


def test_how_long_boots_took(tmp_path: Path) -> None:
    for number, seconds in enumerate((90.0, 3.0, 9.0, 4.0)):
        lines: list[Line] = [boot("a", seconds=seconds), check("a", "x")]
        lines += [boot("b", seconds=1.0)] if number else []
        write_run(tmp_path, f"run-{number}", *lines, end())
    for number in range(5, 9):
        write_run(tmp_path, f"run-{number}", boot("a", seconds=500.0), end(), kind="boot")
    (tmp_path / "run-9").mkdir()
    (tmp_path / "run-9/run.json").write_text("cut short")
    (tmp_path / "run-4").mkdir()
    (tmp_path / "run-4/run.json").touch()
    assert recorded_seconds(tmp_path, 3) == {"a": 4.0, "b": 1.0}  # one has no result
    with (tmp_path / "run-3/results.jsonl").open("a") as file:
        file.write('{"line":"boot", cut short')
    assert recorded_seconds(tmp_path, 3)["a"] == 4.0
    assert recorded_seconds(tmp_path / "none") == {}


def test_what_has_no_record_is_guessed_on_the_same_scale() -> None:
    assert by_record({"a": 2.0, "b": 4.0, "c": 3.0}, {"a": 4.0, "b": 8.0}) == {"a": 4.0, "b": 8.0, "c": 6.0}
    assert by_record({"a": 2.0}, {}) == {"a": 2.0}


def test_guests_on_hardware_take_all_of_their_memory_and_an_asid() -> None:
    catalog = load_catalog()
    emulated = Cell("debian-2025.02", "debian-6.12", "direct", 8192, platform="snp-emulated")
    hardware = replace(emulated, platform="snp")
    assert demand_of(emulated, catalog) == Demand(1, 8192)
    assert demand_of(hardware, catalog) == Demand(1, 8192, touched=1.0, asids=1)


def test_asids_limit_the_boots_at_once(boots: Boots) -> None:
    pool = BootPool(Demand(cpus=8, memory_mib=1 << 20, asids=2))
    guest = Demand(1, 1024, asids=1)
    futures = [pool.submit(guest, boots.make(name)) for name in "abc"]
    boots.expect("a", "b")
    boots.let_go("a")
    boots.expect("a", "b", "c")
    boots.let_go("b", "c")
    assert [str(future.result(WAIT)) for future in futures] == [f"record of {name}" for name in "abc"]


def test_memory_that_cannot_be_paged_out_must_be_there() -> None:
    refuse_unevictable(Demand(1, 8192), Demand(2, 1024))
    refuse_unevictable(Demand(1, 8192, touched=1.0, asids=1), Demand(2, 9000))
    with pytest.raises(HostError, match=r"takes 8448 MiB that cannot be paged out, .* has 8000 MiB left\n"):
        refuse_unevictable(Demand(1, 8192, touched=1.0, asids=1), Demand(2, 8000))
