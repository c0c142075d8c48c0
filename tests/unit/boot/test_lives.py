# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest that is launched anew when it is reset: what the driver asks QEMU, and where its lives meet."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.boot.lives import Story, is_relaunched
from harness.boot.watch import Watch
from harness.evidence.record import PhaseMark
from harness.machine.qmp import Event, MonitorError
from harness.machine.spec import ConfidentialObject, MachineSpec


class Machine:
    """A stand-in: QEMU that stops at a reset, and does what the driver wants."""

    def __init__(self, *, resets: bool = True, refuses: str = "") -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.events: tuple[Event, ...] = (
            Event(1.0, "SHUTDOWN", {"reason": "guest-reset"}),
            Event(1.0, "STOP", {}),
        )
        self.resets = resets
        self.refuses = refuses
        self.consoles = {
            "serial": SimpleNamespace(total=100, dropped=30),
            "debugcon": SimpleNamespace(total=7, dropped=0),
        }
        self.qmp = self

    def execute(self, command: str, /, **arguments: object) -> None:
        if command == self.refuses:
            raise MonitorError(command)
        self.asked.append((command, arguments))
        if command == "system_reset" and self.resets:
            self.events += (Event(2.0, "RESET", {"reason": "host-qmp-system-reset"}),)

    def go_on(self) -> None:
        self.execute("cont")

    def wait(self, look: Any, until: float) -> Any:
        assert until > 0
        return look()

    def clock(self) -> float:
        return 2.0


def story(machine: Machine, lives: int = 2) -> Story:
    watch = Watch()
    watch.feed("serial", b"Linux version 6.12\n", 0.5)
    return Story(cast("Any", machine), watch, lives)


def test_a_reset_begins_another_life_and_the_next_one_ends_it() -> None:
    machine = Machine()
    told = story(machine)
    marks = told.watch.seen().marks
    assert len(marks) > 1
    assert told.goes_on()
    assert machine.asked == [
        ("set-action", {"reboot": "reset"}),
        ("system_reset", {}),
        ("set-action", {"reboot": "shutdown"}),
        ("cont", {}),
    ]
    assert told.begun == [(70, 7)]
    assert told.first_marks == marks
    assert told.watch.seen().marks == (PhaseMark("launch", 2.0),)
    assert [event.name for event in machine.events[told.since :]] == []
    assert not told.goes_on()
    assert len(machine.asked) == 4


@pytest.mark.parametrize(
    "machine",
    [Machine(resets=False), Machine(refuses="system_reset"), Machine(refuses="cont")],
    ids=["no reset", "reset refused", "cont refused"],
)
def test_a_machine_that_does_not_go_on_has_had_its_last_life(machine: Machine) -> None:
    told = story(machine)
    assert not told.goes_on()
    assert told.begun == []


def test_one_life_is_the_usual() -> None:
    machine = Machine()
    assert not story(machine, lives=1).goes_on()
    assert machine.asked == []


def test_a_machine_that_did_not_stop_is_left_alone() -> None:
    machine = Machine()
    machine.events = machine.events[:1]
    assert not story(machine).goes_on()
    assert machine.asked == []


class Properties:
    """A stand-in for the monitor: a machine that has these properties."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def execute(self, command: str, /, **arguments: object) -> object:
        assert (command, arguments) == ("qom-list", {"path": "/machine"})
        return [{"name": name, "type": "bool"} for name in self._names]


OLD, NEW = ("smm", "dump-guest-core"), ("smm", "x-change-vmfd-on-reset")
"""Properties of the machine of QEMU 10.0 and 11.1."""


@pytest.mark.parametrize(
    ("accel", "kind", "properties", "machine", "relaunched"),
    [
        ("kvm", "sev-snp-guest", (), OLD, False),
        ("kvm", "sev-snp-guest", (), NEW, True),
        ("kvm", "sev-guest", (), NEW, False),
        ("tcg", "sev-snp-emulated", (), NEW, False),
        ("tcg", "sev-snp-emulated", (("reset", "end"),), OLD, False),
        ("tcg", "sev-snp-emulated", (("reset", "rebuild"),), OLD, True),
    ],
)
def test_which_qemu_launches_a_guest_anew(
    accel: str,
    kind: str,
    properties: tuple[tuple[str, str], ...],
    machine: tuple[str, ...],
    *,
    relaunched: bool,
) -> None:
    own = ConfidentialObject(type=kind, properties=properties)
    spec = MachineSpec(qemu=Path("/q"), firmware=Path("/f"), memory_mib=1, accel=accel, confidential=own)
    assert is_relaunched(spec, cast("Any", Properties(*machine))) is relaunched


def test_a_plain_guest_is_reset_for_good() -> None:
    spec = MachineSpec(qemu=Path("/q"), firmware=Path("/f"), memory_mib=1, accel="kvm")
    assert not is_relaunched(spec, cast("Any", Properties(*NEW)))
