# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests that somebody works with: what waits give, and that each races against death and has a deadline."""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from harness.boot import running_guest as running_guest_module
from harness.boot import ssh_session
from harness.boot.phases import Limit, Phase
from harness.boot.running_guest import RunningGuest, running_guest
from harness.boot.running_machine import KEPT, ConsoleText, RunningMachine, running_machine
from harness.errors import HarnessError
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END
from harness.machine.qmp import MonitorError
from harness.machine.spec import MachineSpec
from tests.support.data import FAKE_QEMU
from tests.support.ssh_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Step = dict[str, Any]
PANIC: Step = {"serial": "[    1.000000] Kernel panic - not syncing: no init\r\n"}
OFF: Step = {"event": ["SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}]}
UP: Step = {"serial": f"Linux version 6.12\r\n{DOCUMENT_BEGIN}\r\n{{}}\r\n{DOCUMENT_END}\r\n"}
DIED = r"the guest has ended: guest-panic in phase firmware: kernel-panic on serial: .*; last line: .*no init"


def spec_of(folder: Path, *steps: Step) -> MachineSpec:
    firmware = folder / "fw.fd"
    firmware.write_bytes(b"firmware")
    return MachineSpec(
        qemu=FAKE_QEMU, firmware=firmware, memory_mib=64, accel="tcg", cmdline=json.dumps(steps)
    )


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Any]:
    """Run the fake through the given steps."""

    @contextmanager
    def go(*steps: Step) -> Iterator[RunningMachine]:
        with running_machine(spec_of(tmp_path, *steps), tmp_path / "m", RunningMachine) as running:
            yield running

    return go


def test_console_and_monitor(machine: Callable[..., Any], tmp_path: Path) -> None:
    with machine({"serial": "login: "}, {"echo": 3}, {"serial": "\r\nwelcome\r\n"}) as running:
        assert running.serial.expect("log(.*): ") == 0
        running.serial.sendline("me")
        assert running.wait_for_console_text("wel+come") == "welcome"
        assert running.wait_for_console_text("^login") == "login: me"  # said before: it counts as well
        assert running.qmp.execute("query-status")["status"] == "shutdown"
        with pytest.raises(MonitorError, match="no such command"):
            running.qmp.execute("unknown")
        assert running.gone() == ""
        assert running.serial.isalive()
    assert (tmp_path / "m/serial.log").read_bytes() == b"login: me\r\r\nwelcome\r\n"


def test_events(machine: Callable[..., Any]) -> None:
    with machine({"sleep": 0.2}, {"event": ["RTC_CHANGE", {"offset": 3}]}, OFF) as running:
        event = running.wait_for_qmp_event("RTC_CHANGE", seconds=20)
        assert (event.data, event.t > 0.1) == ({"offset": 3}, True)
        assert running.wait_for_qmp_event("SHUTDOWN").data["reason"] == "guest-shutdown"
        with pytest.raises(
            HarnessError, match=r"waited for the QMP event WAKEUP, but the guest has ended: powered-off"
        ):
            running.wait_for_qmp_event("WAKEUP")


@pytest.mark.parametrize(
    ("verb", "what"), [("wait_for_console_text", "login"), ("wait_for_qmp_event", "RTC_CHANGE")]
)
def test_a_wait_ends_with_the_guest(machine: Callable[..., Any], verb: str, what: str) -> None:
    """A panic leaves QEMU alive, and the console silent."""
    began = time.monotonic()
    with machine({"serial": "hello\r\n"}, {"sleep": 0.3}, PANIC) as running:
        with pytest.raises(HarnessError, match=rf"waited for .*{what}.*, but {DIED}") as caught:
            getattr(running, verb)(what)
        assert caught.value.hint == f"its console: {running.machine.rundir}/serial.log"
    assert time.monotonic() - began < 40


@pytest.mark.parametrize("end", [PANIC, {"exit": 3}], ids=["panic", "exit"])
def test_pexpect_ends_with_the_guest(machine: Callable[..., Any], end: Step) -> None:
    began = time.monotonic()
    with machine({"serial": "GRUB, \r\n"}, {"sleep": 0.3}, end) as running:
        with pytest.raises(
            pexpect.EOF, match=r"the guest has ended: (guest-panic|qemu-exit) in phase firmware"
        ):
            running.serial.expect("executed automatically")
        assert not running.serial.isalive()
    assert time.monotonic() - began < 40


def test_a_wait_has_a_deadline(machine: Callable[..., Any]) -> None:
    with machine({"serial": "hello\r\n"}) as running:
        assert running.wait_for_console_text("hello") == "hello"
        with pytest.raises(
            HarnessError, match=r"waited 0\.2 s for a console line with /x/; .* said last: hello"
        ):
            running.wait_for_console_text("x", seconds=0.2)
        running.serial.timeout = 0.2
        with pytest.raises(pexpect.TIMEOUT, match="the console said last"):
            running.serial.expect("x")


def test_a_folder_of_its_own(machine: Callable[..., Any]) -> None:
    with machine({"serial": "x"}):
        pass
    with pytest.raises(HarnessError, match="already holds a boot"), machine({"serial": "x"}):
        pass


def test_a_long_console_is_searched_in_pieces() -> None:
    """A text may stretch over two pieces, and of a flood the latest part counts."""
    console, start = ConsoleText(), 0
    pattern = re.compile("nee+dle")
    for piece in (b"x" * 5000 + b"\r\nne", b"edle\r\n"):
        line, start = console.search(pattern, start)
        assert line is None
        console.feed(piece, 0.0)
    assert console.search(pattern, start)[0] == "needle"
    console.feed(b"y" * KEPT, 0.0)
    assert console.search(pattern, start) == (None, len(b"x" * 5000 + b"\r\nneedle\r\n") + KEPT - 4096)
    console.feed(b"\nneedle", 0.0)
    assert console.search(pattern, 0)[0] == "needle"
    assert len(console._data) == KEPT


def test_a_line_is_whole_once_it_ends_or_the_console_is_silent() -> None:
    """Consoles come in pieces of any size: half a line is no answer, a prompt without an end is one."""
    console, pattern = ConsoleText(), re.compile("Command line:")
    console.feed(b"[    0.000000] Command line: console=tty", 7.0)
    assert console.search(pattern, 0, now=7.1) == (None, 0)
    assert console.search(pattern, 0, now=7.5) == ("[    0.000000] Command line: console=tty", 0)
    console.feed(b"S0 quiet\r\nnext", 7.6)
    assert console.search(pattern, 0, now=7.6) == ("[    0.000000] Command line: console=ttyS0 quiet", 0)


def test_the_last_words_of_a_guest_need_no_end(machine: Callable[..., Any]) -> None:
    with machine(PANIC | {"serial": PANIC["serial"].strip()}) as running:
        assert running.wait_for_console_text("panic").endswith("no init")


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Run the fake through the given steps, with an SSH server of paramiko's behind its port."""
    with serving() as start:
        made: list[int] = []
        with_ssh = ssh_session.with_ssh

        def keep(*arguments: Any) -> Any:
            spec, session = with_ssh(*arguments)
            made.append(start(session.keys))
            return spec, session

        monkeypatch.setattr(running_guest_module, "with_ssh", keep)
        monkeypatch.setattr(running_guest_module, "forwarded_port", lambda _qmp: made[-1])

        @contextmanager
        def go(*steps: Step) -> Iterator[RunningGuest]:
            with running_guest(spec_of(tmp_path, *steps), tmp_path / "g") as running:
                yield running

        yield go


def test_commands(guest: Callable[..., Any], tmp_path: Path) -> None:
    with guest(UP) as running:
        assert running.succeed("exit 0") == "said: exit 0"
        assert running.fails("exit 3") == ""
        with pytest.raises(
            HarnessError, match=r"^'exit 3' failed, status 3\n  stdout: said: exit 3\n  its console: "
        ):
            running.succeed("exit 3")
        with pytest.raises(HarnessError, match=r"^'exit 0' did not fail, status 0\n"):
            running.fails("exit 0")
        with pytest.raises(HarnessError, match=r"^the guest did not finish 'hang': "):
            running.succeed("hang", seconds=0.2)
        assert running.execute("exit 7").status == 7
        assert running.command.startswith("ssh -p ")
        assert str(tmp_path / "g/known-hosts") in running.command


def test_a_command_that_succeeds_in_the_end(
    guest: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_guest_module, "_AGAIN_SECONDS", 0.05)
    with guest(UP) as running:
        assert running.wait_until_succeeds("exit 0") == "said: exit 0"
        with pytest.raises(HarnessError, match=r"^'exit 1' never succeeded within 1 s, status 1\n"):
            running.wait_until_succeeds("exit 1", seconds=1)
        with pytest.raises(HarnessError, match=r"^'hang' never succeeded within 0\.2 s, it still runs\n"):
            running.wait_until_succeeds("hang", seconds=0.2)
        statuses = iter(["exit 1", "exit 1", "exit 0"])
        run = running.ssh.run
        monkeypatch.setattr(running.ssh, "run", lambda _command, seconds: run(next(statuses), seconds))
        assert running.wait_until_succeeds("x", seconds=20) == "said: exit 0"


@pytest.mark.parametrize("verb", ["succeed", "wait_until_succeeds"])
def test_a_command_ends_with_the_guest(guest: Callable[..., Any], verb: str) -> None:
    """The connection of a guest that panics stays open for as long as QEMU lives."""
    began = time.monotonic()
    with (
        guest(UP, {"sleep": 0.9}, PANIC) as running,
        pytest.raises(HarnessError, match="the guest has ended: guest-panic"),
    ):
        getattr(running, verb)("hang")
    assert time.monotonic() - began < 40


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"serial": "Linux version 6.12\r\n"}, PANIC], "guest-panic in phase early-kernel"),
        ([{"exit": 1}], "qemu-exit in phase launch"),
        ([OFF], "powered-off-early"),
    ],
)
def test_a_guest_that_does_not_come_up(guest: Callable[..., Any], steps: list[Step], said: str) -> None:
    expected = f"^waited for the guest's report that it is up, but the guest has ended: {said}"
    with pytest.raises(HarnessError, match=expected), guest(*steps):
        pass


def test_a_guest_that_falls_silent(guest: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    quick = dict.fromkeys(Phase, Limit(20.0, 0.4))
    monkeypatch.setattr(running_guest_module, "limits_of", lambda *_, **__: quick)
    with (
        pytest.raises(HarnessError, match="has ended: hang in phase early-kernel: no console byte"),
        guest({"serial": "Linux version 6\r\n"}),
    ):
        pass


def test_a_guest_that_dies_before_its_server_answers(
    guest: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setattr(running_guest_module, "forwarded_port", lambda _qmp: mute.getsockname()[1])
        began = time.monotonic()
        with (
            pytest.raises(HarnessError, match="the guest has ended: guest-panic"),
            guest(UP, {"sleep": 0.5}, PANIC),
        ):
            pass
        assert time.monotonic() - began < 40
