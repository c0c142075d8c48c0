# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A machine that stays after its boot went wrong, and the doors that open then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.boot.hold import Holder, ways_in
from harness.evidence.record import Ending, EndingKind
from harness.machine.qmp import MonitorError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.machine.machine import Machine

PANIC = Ending(EndingKind.GUEST_PANIC, "kernel", "line", "it panicked")


class Held:
    """A machine that ends when somebody waits for it."""

    def __init__(self, folder: Path, refused: str = "") -> None:
        self.rundir = folder
        self.ended: int | None = None
        self.asked: list[str] = []
        self.waited = False
        self._refused = refused
        self.qmp = SimpleNamespace(execute=self._execute)

    def _execute(self, command: str, **_arguments: Any) -> None:
        self.asked.append(command)
        if command == self._refused:
            raise MonitorError("no")

    def wait(self, look: Any, until: float) -> None:
        assert look() is None
        assert until == float("inf")
        self.waited, self.ended = True, 0
        assert look()


def held(made: Held) -> Machine:
    return cast("Machine", made)


def test_a_boot_gone_wrong_is_held(tmp_path: Path) -> None:
    machine, said = Held(tmp_path), list[str]()
    Holder(EndingKind.COMPLETED, said.append).stay(held(machine), PANIC)
    assert machine.waited
    assert said[0] == "guest-panic in phase kernel: it panicked"
    assert said[1] == f"the machine is held, in {tmp_path}"
    assert [line.partition(":")[0] for line in said[2:]] == ["console", "gdb", "monitor"]
    assert f"target remote {tmp_path / 'gdb.sock'}" in said[3]


@pytest.mark.parametrize("kind", [EndingKind.COMPLETED, EndingKind.RESET])
def test_a_good_boot_is_not(tmp_path: Path, kind: EndingKind) -> None:
    machine, said = Held(tmp_path), list[str]()
    Holder(kind, said.append).stay(held(machine), Ending(kind, "done", "", ""))
    assert not said
    gone = Held(tmp_path)
    gone.ended = 1
    Holder(kind, said.append).stay(held(gone), PANIC)
    assert not machine.waited
    assert not said


def test_a_door_that_does_not_open_is_not_told(tmp_path: Path) -> None:
    deep = Held(tmp_path / ("d" * 120))
    assert all(f": cd {deep.rundir} && " in line for line in ways_in(held(deep)))
    machine = Held(tmp_path, refused="chardev-change")
    assert [line.partition(":")[0] for line in ways_in(held(machine))] == ["gdb", "monitor"]
    assert "chardev-change" in machine.asked
    at_terminal = Held(tmp_path)
    list(ways_in(held(at_terminal), console=False))
    assert at_terminal.asked == ["human-monitor-command"]
