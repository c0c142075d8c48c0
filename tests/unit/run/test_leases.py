# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One host for all its users: nothing is given twice, the dead keep nothing, who came first goes first."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import entry
from harness.errors import ExitCode, HostError
from harness.run import budget
from harness.run.host import leases as module
from harness.run.host.leases import SETTING, folder, held, leases
from harness.run.pool import Demand

if TYPE_CHECKING:
    from pathlib import Path

WAIT = 40.0
HOST = Demand(2, 4096, asids=1)
ONE = Demand(1, 512)


class Holder(threading.Thread):
    """Holds a part of the host until it is let go."""

    def __init__(self, place: Path, demand: Demand, purpose: str = "a boot") -> None:
        super().__init__(daemon=True)
        self._place, self._demand, self._purpose = place, demand, purpose
        self._go = threading.Event()
        self.has = threading.Event()
        self.start()

    def run(self) -> None:
        with held(self._demand, self._purpose, place=self._place, size=HOST):
            self.has.set()
            assert self._go.wait(WAIT)

    def let_go(self) -> None:
        self._go.set()
        self.join(WAIT)
        assert not self.is_alive()


def until(place: Path, count: int) -> None:
    """Wait until so many have a lease or wait for one."""
    pause = threading.Event()
    for _ in range(2000):
        if len(leases(place)) == count:
            return
        pause.wait(0.02)
    raise AssertionError(leases(place))


def test_what_is_free_is_had_at_once_and_given_back(tmp_path: Path) -> None:
    with held(ONE, "cell a", place=tmp_path, size=HOST), held(ONE, "cell b", place=tmp_path, size=HOST):
        found = leases(tmp_path)
        assert [(it.purpose, it.cpus, it.waits) for it in found] == [
            ("cell a", 1, False),
            ("cell b", 1, False),
        ]
        assert {it.pid for it in found} == {os.getpid()}
        assert "has 1 processors and 512 MiB for cell a since 20" in str(found[0])
    assert leases(tmp_path) == []
    assert not list(tmp_path.glob("*.lease"))


@pytest.mark.parametrize("demand", [Demand(2, 512), Demand(1, 8000), Demand(1, 512, asids=1)])
def test_nothing_is_given_twice(tmp_path: Path, demand: Demand) -> None:
    first = Holder(tmp_path, demand)
    assert first.has.wait(WAIT)
    second = Holder(tmp_path, demand)
    until(tmp_path, 2)
    assert [it.waits for it in leases(tmp_path)] == [False, True]
    first.let_go()
    assert second.has.wait(WAIT)
    second.let_go()


def test_who_came_first_goes_first_whatever_it_wants(tmp_path: Path) -> None:
    running = Holder(tmp_path, Demand(1, 512))
    assert running.has.wait(WAIT)
    large = Holder(tmp_path, Demand(2, 512), "large")
    until(tmp_path, 2)
    small = Holder(tmp_path, ONE, "small")  # would fit beside the first, and the large one would starve
    until(tmp_path, 3)
    assert [it.purpose for it in leases(tmp_path)] == ["a boot", "large", "small"]
    running.let_go()
    assert large.has.wait(WAIT)
    assert not small.has.is_set()
    large.let_go()
    assert small.has.wait(WAIT)
    small.let_go()


def test_what_is_larger_than_the_host_runs_alone(tmp_path: Path) -> None:
    with held(Demand(64, 1 << 20), "huge", place=tmp_path, size=HOST):
        assert len(leases(tmp_path)) == 1


def test_who_does_not_wait_hears_who_has_the_host(tmp_path: Path) -> None:
    with held(Demand(2, 512), "cell a", place=tmp_path, size=HOST):
        with (
            pytest.raises(HostError, match=r"the host is in use: .* for cell a since") as caught,
            held(ONE, "cell b", place=tmp_path, size=HOST, wait=False),
        ):
            pass
        assert caught.value.exit_code is ExitCode.HOST
        assert "--no-wait" in caught.value.hint
        assert len(leases(tmp_path)) == 1


def _hold_and_die(place: str, ready: Any) -> None:
    from pathlib import Path  # noqa: PLC0415  # in a process of its own

    with held(Demand(2, 512), "cell of the dead", place=Path(place), size=HOST):
        ready.set()
        os._exit(9)


def test_the_dead_keep_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold_and_die, args=(str(tmp_path), ready))
    process.start()
    assert ready.wait(WAIT)
    process.join(WAIT)
    assert list(tmp_path.glob("*.lease"))
    assert leases(tmp_path) == []
    with held(Demand(2, 512), "cell b", place=tmp_path, size=HOST, wait=False):
        assert len(list(tmp_path.glob("*.lease"))) == 1


def test_the_place_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, str(tmp_path / "x"))
    assert folder() == tmp_path / "x"
    assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o1777
    (tmp_path / "file").touch()
    monkeypatch.setenv(SETTING, str(tmp_path / "file"))
    assert folder() is None
    with held(ONE, "anything"):
        pass


def test_nobody_meets_the_folder_or_the_lock_before_all_may_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's process may look between any two steps of the one that makes them."""
    place, fchmod, chmod = tmp_path / "x", os.fchmod, os.chmod
    modes: set[str] = set()

    def look() -> None:
        modes.update(oct(it.stat().st_mode & 0o7777) for it in (place, place / "lock") if it.exists())

    def slow_fchmod(descriptor: int, mode: int) -> None:
        look()
        fchmod(descriptor, mode)

    def slow_chmod(path: Path, mode: int, **options: bool) -> None:
        look()
        chmod(path, mode, **options)

    monkeypatch.setattr(os, "fchmod", slow_fchmod)
    monkeypatch.setattr(os, "chmod", slow_chmod)
    monkeypatch.setenv(SETTING, str(place))
    umask = os.umask(0o077)
    try:
        with held(ONE, "cell a"):
            (lease,) = place.glob("*.lease")
            assert lease.stat().st_mode & 0o444 == 0o444  # who cannot read it believes that the host is free
    finally:
        os.umask(umask)
    look()
    assert modes == {"0o1777", "0o666"}
    assert [it.name for it in tmp_path.iterdir()] == ["x"]
    assert [it.name for it in place.iterdir()] == ["lock"]


def test_who_is_slower_takes_the_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "x"
    chmod = os.chmod

    def others_first(path: Path, mode: int, **options: bool) -> None:
        place.mkdir()
        (place / "lock").touch()
        chmod(path, mode, **options)

    monkeypatch.setattr(os, "chmod", others_first)
    monkeypatch.setenv(SETTING, str(place))
    assert folder() == place
    assert [it.name for it in tmp_path.iterdir()] == ["x"]
    assert [it.name for it in place.iterdir()] == ["lock"]


def test_no_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precious, place = tmp_path / "precious", tmp_path / "place"
    precious.mkdir(mode=0o700)
    place.symlink_to(precious)
    monkeypatch.setenv(SETTING, str(place))
    assert folder() is None
    assert precious.stat().st_mode & 0o7777 == 0o700
    file = tmp_path / "file"
    file.write_text("precious")
    file.chmod(0o600)
    (precious / "lock").symlink_to(file)
    with (
        pytest.raises(HostError, match=r"cannot be locked: .*symbolic links"),
        held(ONE, "x", place=precious, size=HOST),
    ):
        pass
    (precious / "lock").unlink()
    number = next(module._numbers)
    for taken in range(number + 1, number + 3):
        (precious / f"{os.getpid()}-{taken}.lease").symlink_to(file)
    with held(ONE, "x", place=precious, size=HOST):
        assert [it.purpose for it in leases(precious)] == ["x"]
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("precious", 0o600)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"user": 1}', '{"user": "a", "cpus": "many"}', "\xff"])
def test_what_is_no_lease_is_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "1-1.lease"
    path.write_text(text)
    os.mkfifo(tmp_path / "1-2.lease")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with held(ONE, "x\x1b[2Jy", place=tmp_path, size=HOST, wait=False):
            (lease,) = leases(tmp_path)
            assert "\x1b" not in str(lease)


def test_another_users_process_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert budget._lives("1.0.boot")


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SETTING, str(tmp_path))
    assert entry.main(["leases"]) == ExitCode.OK
    assert "nobody boots here" in capsys.readouterr().out
    with held(ONE, "cell a"):
        assert entry.main(["leases", "--json"]) == ExitCode.OK
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["purpose"], row["cpus"], row["waits"]) == ("cell a", 1, False)
        assert entry.main(["leases"]) == ExitCode.OK
        said = rf"\S+ \(process {os.getpid()}\) has 1 processors and \d+ MiB for cell a since \S+\n"
        assert re.fullmatch(said, capsys.readouterr().out)
    monkeypatch.setenv(SETTING, "/proc/none")
    assert entry.main(["leases"]) == ExitCode.HOST
