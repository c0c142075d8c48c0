# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Consoles lose nothing, and QMP events carry times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.machine import console as console_module
from harness.machine.machine import Machine
from harness.machine.qmp import MonitorError
from harness.machine.spec import MachineSpec
from tests.support.data import FAKE_QEMU

Steps = list[dict[str, object]]


def fake(*steps: dict[str, object]) -> MachineSpec:
    return MachineSpec(
        qemu=FAKE_QEMU, firmware=Path("/f"), memory_mib=1, accel="tcg", cmdline=json.dumps(steps)
    )


def run_to_exit(machine: Machine) -> None:
    machine.cont()
    assert machine.wait(lambda: machine.ended, 30) is not None


def test_a_flood_is_kept_whole(tmp_path: Path) -> None:
    lines = 900_000  # 8.1 MB, many times the pipe
    seen = []
    with Machine(fake({"flood": lines}, {"exit": 0}), tmp_path) as machine:
        machine.watch("serial", lambda data, _t: seen.append(data))
        run_to_exit(machine)
    expected = b"".join(b"%08d\n" % number for number in range(lines))
    assert (tmp_path / "serial.log").read_bytes() == expected
    assert b"".join(seen) == expected
    assert machine.consoles["serial"].total == len(expected)
    assert machine.consoles["serial"].dropped == 0
    assert machine.consoles["serial"].tail == expected[-len(machine.consoles["serial"].tail) :]


def test_beyond_the_cap_bytes_are_watched_and_counted(tmp_path: Path) -> None:
    seen = []
    with Machine(fake({"flood": 100_000}, {"exit": 0}), tmp_path, console_cap=5000) as machine:
        machine.watch("serial", lambda data, _t: seen.append(len(data)))
        run_to_exit(machine)
    console = machine.consoles["serial"]
    lines = b"".join(b"%08d\n" % number for number in range(100_000))
    dropped = len(lines) - 5000 - len(console.tail)
    assert (console.total, console.dropped, sum(seen)) == (900_000, dropped, 900_000)
    marker = b"\n=====HARNESS-LEFT-OUT===== %d bytes\n" % dropped
    assert (tmp_path / "serial.log").read_bytes() == lines[:5000] + marker + lines[-len(console.tail) :]
    last = json.loads((tmp_path / "serial.times.jsonl").read_text().splitlines()[-1])
    assert (last["offset"], last["dropped"]) == (5000, dropped)


def test_a_little_beyond_the_cap_nothing_is_lost(tmp_path: Path) -> None:
    with Machine(fake({"flood": 1000}, {"exit": 0}), tmp_path, console_cap=5000) as machine:
        run_to_exit(machine)
    assert machine.consoles["serial"].dropped == 0
    assert (tmp_path / "serial.log").read_bytes() == b"".join(b"%08d\n" % number for number in range(1000))


def test_times_follow_the_bytes(tmp_path: Path) -> None:
    steps: Steps = [{"serial": "first\n"}, {"sleep": 0.6}, {"serial": "second\n"}, {"exit": 0}]
    with Machine(fake(*steps), tmp_path) as machine:
        run_to_exit(machine)
    entries = [json.loads(line) for line in (tmp_path / "serial.times.jsonl").read_text().splitlines()]
    assert [entry["offset"] for entry in entries] == [0, 6]
    assert 0 <= entries[0]["t"] < entries[1]["t"]
    assert entries[1]["t"] >= 0.6


def test_what_a_dying_qemu_wrote_last_is_there(tmp_path: Path) -> None:
    with Machine(fake({"debugcon": "d" * 5000}, {"serial": "last"}, {"exit": 7}), tmp_path) as machine:
        machine.cont()
        assert machine.wait(lambda: machine.ended, 30) == 7
        assert machine.consoles["serial"].tail == b"last"
        assert machine.consoles["debugcon"].total == 5000


def test_any_bytes_are_kept(tmp_path: Path) -> None:
    with Machine(fake({"hex": "00ff80fe0d0a1b5b"}, {"exit": 0}), tmp_path) as machine:
        run_to_exit(machine)
    assert (tmp_path / "serial.log").read_bytes() == bytes.fromhex("00ff80fe0d0a1b5b")


def test_input_reaches_the_guest(tmp_path: Path) -> None:
    with Machine(fake({"echo": 5}), tmp_path) as machine:
        machine.cont()
        machine.serial_write(b"hello")
        assert machine.wait(lambda: machine.consoles["serial"].tail or None, 10) == b"hello"


@pytest.mark.parametrize("end", [{"event": ["SHUTDOWN", {}]}, {"exit": 7}])
def test_bytes_before_an_end_are_seen_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: dict[str, object]
) -> None:
    monkeypatch.setattr(console_module, "BATCH_SECONDS", 30.0)  # the console rests when the end comes
    steps: Steps = [{"serial": "a"}, {"sleep": 0.2}, {"serial": "x" * 3000}, end]
    with Machine(fake(*steps), tmp_path) as machine:
        machine.cont()
        assert machine.wait(lambda: machine.events or machine.ended or None, 20)
        assert machine.clock() < 20
        assert machine.consoles["serial"].total == 3001


def test_events_are_stored_with_times(tmp_path: Path) -> None:
    steps: Steps = [{"event": ["RESUME", {}]}, {"sleep": 0.2}, {"event": ["RTC_CHANGE", {"offset": 1}]}]
    with Machine(fake(*steps), tmp_path) as machine:
        machine.cont()
        assert machine.wait(lambda: machine.events[1:] or None, 10)
    stored = [json.loads(line) for line in (tmp_path / "qmp-events.jsonl").read_text().splitlines()]
    assert [(event["event"], event["data"]) for event in stored] == [
        ("RESUME", {}),
        ("RTC_CHANGE", {"offset": 1}),
    ]
    assert 0 <= stored[0]["t"] < stored[1]["t"]
    assert stored[1]["t"] >= 0.2


def test_qmp_answers_and_errors(tmp_path: Path) -> None:
    with Machine(fake(), tmp_path) as machine:
        assert machine.qmp.execute("query-status") == {"status": "shutdown", "running": False}
        assert machine.qmp.qom_get("/objects/sev0", "validated-pages") == 4096
        assert machine.qmp.properties("/objects/sev0") == {
            "validated-pages": 4096
        }  # "secret" is not readable
        with pytest.raises(MonitorError, match="no such command"):
            machine.qmp.execute("unknown")
        machine.quit()
        with pytest.raises(MonitorError, match="no answer"):
            machine.qmp.execute("query-status")


def test_wait_gives_up_at_its_deadline(tmp_path: Path) -> None:
    with Machine(fake({"serial": "x"}), tmp_path) as machine:
        machine.cont()
        assert machine.wait(lambda: None, 0.3) is None
        assert 0.3 <= machine.clock() < 20
