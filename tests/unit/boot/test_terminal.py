# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A person at a terminal: what reaches the guest, what reaches the screen, and the way out."""

from __future__ import annotations

import io
import json
import os
import pty
import termios
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.boot.driver import boot
from harness.boot.running_machine import NO_LIMITS
from harness.boot.terminal import Keys, Lines, Screen, Terminal
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END, BootRecord, EndingKind
from harness.machine.qmp import Monitor
from harness.machine.spec import MachineSpec
from tests.support.data import FAKE_QEMU

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.machine.machine import Machine

OFF: dict[str, object] = {"event": ["SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}]}
STOPPED: dict[str, object] = {"event": ["STOP", {}]}
REPORT: dict[str, object] = {
    "serial": f"Run /init as init process\r\n{DOCUMENT_BEGIN}\r\n{{}}\r\n{DOCUMENT_END}\r\n"
}


@pytest.mark.parametrize(
    ("typed", "sent", "left"),
    [
        (b"ls\r", b"ls\r", False),
        (b"~.", b"", True),
        (b"ls\r~.more", b"ls\r", True),
        (b"a~.", b"a~.", False),
        (b"~~.", b"~.", False),
        (b"~x", b"~x", False),
        (b"\x03", b"\x03", False),
    ],
)
def test_keys(typed: bytes, sent: bytes, left: bool) -> None:
    for pieces in ([typed], [bytes((number,)) for number in typed]):
        keys = Keys()
        assert b"".join(keys.feed(piece) for piece in pieces if not keys.left) == sent
        assert keys.left is left


def test_a_screen_draws_and_answers_nothing() -> None:
    said = b"\x1b[2J\x1b[01;01Hmenu\x1b[31mred\x1b[0m\r\n"
    for size in (1, 3, 1000):
        screen = Screen()
        assert b"".join(screen.feed(said[at : at + size]) for at in range(0, len(said), size)) == said
    for bad in (b"\x1b[6n", b"\x1b[c", b"\x1b[18t", b"\x1b]0;title\x07", b"\x1bP+q\x1b\\"):
        assert b"\x1b" not in Screen().feed(bad + b"x")


def test_lines_wait_for_their_end() -> None:
    lines = Lines()
    assert lines.feed(b"\x1b[2Jone\r\ntw") == b"one\n"
    assert lines.feed(b"o\r\n") == b"two\n"
    assert (lines.feed(b"last"), lines.last(), lines.last()) == (b"", b"last\n", b"")


class Pty:
    """A terminal with a person: ``type`` waits for what the guest has said."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.out = io.BytesIO()
        self.said: list[str] = []
        self.typist: threading.Thread | None = None

    def type(self, keys: bytes, after: str) -> None:
        def wait() -> None:
            while after not in "".join(self.said) + self.out.getvalue().decode():
                pause.wait(0.01)
            os.write(self.ours, keys)

        pause = threading.Event()
        self.typist = threading.Thread(target=wait, daemon=True)
        self.typist.start()


@pytest.fixture
def person() -> Iterator[Pty]:
    terminal = Pty()
    yield terminal
    if terminal.typist is not None:
        terminal.typist.join(10)
    os.close(terminal.ours)
    os.close(terminal.theirs)


def run(tmp_path: Path, terminal: Terminal, *steps: dict[str, object]) -> BootRecord:
    (tmp_path / "fw.fd").write_bytes(b"firmware")
    spec = MachineSpec(
        qemu=FAKE_QEMU, firmware=tmp_path / "fw.fd", memory_mib=512, accel="tcg", cmdline=json.dumps(steps)
    )
    with terminal:
        return boot(
            spec,
            tmp_path / "r",
            cell_id="c",
            platform="plain",
            deadlines=NO_LIMITS,
            attendant=terminal,
        )


def test_keys_reach_the_guest_and_a_stopped_guest_goes_on(person: Pty, tmp_path: Path) -> None:
    before = termios.tcgetattr(person.theirs)
    terminal = Terminal(person.out, person.theirs, person.said.append)
    person.type(b"\x03ls\r", after="~. at the beginning of a line")
    record = run(tmp_path, terminal, STOPPED, {"echo": 4}, REPORT, OFF)
    assert record.ending.kind is EndingKind.COMPLETED
    assert person.out.getvalue().startswith(b"\x03ls\r".replace(b"\x03", b""))
    assert record.bytes_of("serial.log").startswith(b"\x03ls\r")
    assert termios.tcgetattr(person.theirs) == before
    assert not terminal.left


def test_the_way_out_of_a_guest_that_runs(person: Pty, tmp_path: Path) -> None:
    terminal = Terminal(person.out, person.theirs, person.said.append)
    person.type(b"~.", after="booting")
    record = run(tmp_path, terminal, {"serial": "booting\r\n"})
    assert terminal.left
    assert record.ending.kind is EndingKind.QEMU_EXIT


def test_a_held_machine_stays_until_the_person_leaves(person: Pty, tmp_path: Path) -> None:
    terminal = Terminal(person.out, person.theirs, person.said.append, hold=True)
    person.type(b"~.", after="the machine is held")
    record = run(tmp_path, terminal, REPORT, OFF)
    assert record.ending.kind is EndingKind.COMPLETED
    assert "completed in phase done; the machine is held, ~. ends QEMU\r" in person.said[-1]


def test_who_leaves_a_boot_leaves_its_machine(person: Pty, tmp_path: Path) -> None:
    terminal = Terminal(person.out, person.theirs, person.said.append, hold=True, hold_on_fail=True)
    person.type(b"~.", after="~. at the beginning of a line")
    record = run(tmp_path, terminal)
    assert terminal.left
    slow = SimpleNamespace(ended=None, wait=lambda *_: pytest.fail("it is not held"))
    terminal.stay(cast("Machine", slow), record.ending)


def test_without_a_keyboard_the_console_is_printed(tmp_path: Path) -> None:
    out = io.BytesIO()
    record = run(tmp_path, Terminal(out, None, pytest.fail), REPORT, {"serial": "bye"}, OFF)
    assert record.ending.kind is EndingKind.COMPLETED
    assert out.getvalue().decode().splitlines()[-2:] == [DOCUMENT_END, "bye"]


@pytest.mark.parametrize("by_gdb", [True, False])
def test_gdb_lets_the_guest_run(
    person: Pty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_gdb: bool
) -> None:
    asked: list[str] = []
    execute = Monitor.execute

    def note(self: Monitor, command: str, **arguments: object) -> object:
        asked.append(command)
        return execute(self, command, **arguments)

    monkeypatch.setattr(Monitor, "execute", note)
    person.type(b"~.", after="~. at the beginning of a line")
    run(tmp_path, Terminal(person.out, person.theirs, person.said.append, by_gdb=by_gdb))
    assert ("cont" in asked) is not by_gdb
