# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A host that stops is no guest that hangs, and a guest that computes gets more time."""

from __future__ import annotations

import io
import itertools
import math
import os
import re
import signal
import subprocess
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from harness.boot import driver
from harness.boot.ending import judge, next_look
from harness.boot.phases import NORMAL, Limit, Phase, deadlines
from harness.boot.terminal import Terminal
from harness.boot.waiting import patience
from harness.boot.waiting.patience import Idle, Patience, Ran, does_nothing, pulse, ran_by, share_of, state_of
from harness.boot.watch import Seen
from harness.evidence.record import Ending, EndingKind, PhaseMark
from harness.machine import qmp
from tests.support.fake_boots import KERNEL, OFF, QUICK, Run, document, fake_boots

if TYPE_CHECKING:
    from pathlib import Path

    from harness.boot.talk import Attendant
    from harness.machine.machine import Machine

LIMITS = dict.fromkeys(Phase, Limit(100.0, 10.0))
SILENT = 1.5
"""Seconds for which a guest is silent that `looked_at` would find to hang after less than half of them."""
SEEN = Seen(phase=Phase.KERNEL, marks=(PhaseMark("kernel", 10.0),), last_byte=20.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Boot the fake through the given steps."""
    return fake_boots(tmp_path)


class Signals:
    """A talk that sends QEMU signals, each after some seconds, once the guest's first program runs."""

    types: ClassVar[bool] = False

    def __init__(self, *sent: tuple[float, signal.Signals]) -> None:
        self.sent = sent
        self.console = b""

    def attach(self, machine: Machine) -> None:
        machine.watch("serial", self._hear)

    def _hear(self, data: bytes, _t: float) -> None:
        self.console += data

    def run(self, machine: Machine) -> None:
        machine.wait(lambda: b"/init" in self.console or machine.ended is not None or None, math.inf)
        for seconds, what in self.sent:
            machine.wait(lambda: True if machine.ended is not None else None, machine.clock() + seconds)
            if machine.ended is None:
                os.kill(machine.pid, what)


def registers(*vcpus: tuple[int, int]) -> str:
    return "".join(
        f"\nCPU#{number}\nRAX=0 RBX=0\nRIP={rip:016x} RFL=00000246 [---Z-P-] CPL=0 A20=1 SMM=0 HLT={halted}\n"
        for number, (rip, halted) in enumerate(vcpus)
    )


def test_pauses_count_for_no_limit() -> None:
    assert next_look(SEEN, LIMITS) == 30.0
    assert next_look(SEEN, LIMITS, ((5.0, 8.0),)) == 30.0
    assert next_look(SEEN, LIMITS, ((15.0, 25.0), (26.0, 27.0))) == 36.0
    asked: dict[str, Any] = {"returncode": None, "confidential": False, "qemu_log": "", "limits": LIMITS}
    assert judge(SEEN, (), now=35.0, pauses=((20.0, 26.0),), **asked) is None
    ending = judge(SEEN, (), now=36.0, pauses=((20.0, 26.0),), **asked)
    assert ending is not None
    assert ending.detail == "no console byte for 10 s"


def test_what_registers_say() -> None:
    waits = [registers((0x10, 1), (0x20, 1))] * 5
    assert pulse(waits) == ("all its vCPUs wait for an interrupt (HLT)", False)
    loops = [registers((0x10, 1), (0x1000 + number, 0)) for number in range(5)]
    assert pulse(loops) == ("a vCPU runs in a loop at 0x1000", False)
    works = [registers((0x10, 1), (0x1000 * number, 0)) for number in range(5)]
    told, computes = pulse(works)
    assert computes
    assert "0x4000 bytes apart" in told
    assert pulse([]) == ("QEMU did not answer when the harness asked for the registers", False)


def test_who_does_nothing() -> None:
    waits = [registers((0x10, 1), (0x20, 1))] * 5
    assert does_nothing(waits)
    ticks = [registers((0x10, 1)).replace("RAX=0", f"RAX={number}") for number in range(5)]
    assert does_nothing(ticks), "an interrupt comes, and nothing follows"
    assert does_nothing([registers((0x1000 + number % 2, 0)) for number in range(5)]), "a dead loop"
    clears = [registers((0x1000, 0)).replace("RBX=0", f"RBX={number}000") for number in range(5)]
    assert pulse(clears) == ("a vCPU runs in a loop at 0x1000", False)
    assert not does_nothing(clears), "it counts in a register"
    assert not does_nothing([registers((0x1000 * number, 0)) for number in range(5)])
    assert not does_nothing(waits[:4]), "QEMU did not answer each time"
    assert not does_nothing([])


def test_a_share_of_the_processors() -> None:
    began = Ran(10.0, 5.0, 1.0)
    assert share_of(began, Ran(20.0, 7.0, 9.0), 2) == pytest.approx(0.2)  # wanted 10 s of 20, got 2
    assert share_of(began, Ran(20.0, 25.0, 200.0), 2) == 1.0  # its vCPUs wait for each other
    assert share_of(began, Ran(20.0, 5.1, 1.1), 2) == 1.0  # it sleeps


def test_proc_says_that_a_process_is_stopped() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        os.kill(process.pid, signal.SIGSTOP)
        give_up = time.monotonic() + 60
        while state_of(process.pid) != "T" and time.monotonic() < give_up:
            time.sleep(0.01)
        assert state_of(process.pid) == "T"
        assert ran_by(process.pid, 1.0).t == 1.0
        process.kill()
    assert state_of(process.pid) == ""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at QEMU more often than a boot need."""
    for module in (driver, patience):
        monkeypatch.setattr(module, "EVERY", 0.1)
    monkeypatch.setattr(patience, "_BETWEEN", 0.01)


@pytest.mark.faults
@pytest.mark.usefixtures("often")
def test_a_qemu_that_is_stopped_for_a_while_boots_on(run: Run) -> None:
    limits = {**QUICK, Phase.INIT: Limit(deadline=60.0, silence=3.0)}
    talk = Signals((0.5, signal.SIGSTOP), (4.0, signal.SIGCONT))
    record = run(KERNEL, {"sleep": 1.0}, document("{}"), OFF, deadlines=limits, talk=talk)
    assert record.ending.kind is EndingKind.COMPLETED


@pytest.mark.faults
@pytest.mark.usefixtures("often")
def test_a_qemu_that_stays_stopped_is_the_host_s_doing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STOPPED_SECONDS", 1.0)
    monkeypatch.setattr(qmp, "ANSWER_SECONDS", 0.5)
    ending = run(KERNEL, {"sleep": 600.0}, OFF, talk=Signals((0.2, signal.SIGSTOP))).ending
    assert (ending.kind, ending.phase) == (EndingKind.HOST, "init")
    assert "QEMU was stopped for" in ending.detail


@pytest.mark.faults
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_qemu_that_is_killed_is_the_host_s_doing(run: Run, sent: signal.Signals) -> None:
    ending = run(KERNEL, {"sleep": 600.0}, OFF, talk=Signals((0.2, sent))).ending
    assert (ending.kind, sent.name in ending.detail) == (EndingKind.HOST, True)


@pytest.mark.usefixtures("often")
def test_a_guest_that_computes_gets_its_limit_once_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def said(texts: list[str]) -> tuple[str, bool]:
        asked.append(len(texts))
        return "it computes", True

    monkeypatch.setattr(patience, "pulse", said)
    limits = {**QUICK, Phase.INIT: Limit(deadline=60.0, silence=0.5)}
    ending = run(KERNEL, {"sleep": 600.0}, OFF, deadlines=limits).ending
    assert (ending.kind, len(asked)) == (EndingKind.HANG, 2)
    assert ending.detail == "no console byte for 0.5 s; it computes"


def on_hardware(ran: float) -> Patience:
    """Return the patience with a guest whose registers nobody may ask for; QEMU ran for so many seconds."""

    class Monitor:
        def execute(self, command: str, **_: object) -> object:
            raise AssertionError(f"{command}: its registers are not to be had")

    spec = SimpleNamespace(protected=True)
    machine = SimpleNamespace(spec=spec, pid=os.getpid(), clock=lambda: 90.0, qmp=Monitor())
    patient = Patience(cast("Machine", machine), dict.fromkeys(Phase, Limit(100.0, 10.0, look=1.0)))
    patient._samples = [Ran(30.0, 1.0, 0.0), Ran(70.0, 1.0 + ran, 0.0)]
    return patient


HANG = Ending(EndingKind.HANG, "kernel", "", "no console byte for 70.0 s")


def test_a_guest_on_hardware_is_judged_by_the_time_that_it_ran() -> None:
    ending = on_hardware(0.4).at_limit(SEEN, HANG)
    assert ending is not None
    assert ending.detail == f"{HANG.detail}; its registers are its own; QEMU ran for 0.4 s in 40.0 s"
    computes = on_hardware(39.0)
    assert computes.at_limit(SEEN, HANG) is None, "it accepts memory, say, and gets its limit once more"
    assert computes.at_limit(SEEN, HANG) is not None


def test_a_silent_guest_on_hardware_is_no_early_hang() -> None:
    assert on_hardware(0.0).at_look(SEEN) is None


def test_looks_at_a_silent_guest() -> None:
    idle = Idle()
    assert idle.due(20.0, 31.0) == 31.0
    assert not idle.found(20.0, 31.0, nothing=True)
    assert idle.due(20.0, 31.0) == 33.0
    assert not idle.found(20.0, 33.0, nothing=False)
    assert not idle.found(20.0, 35.0, nothing=True)
    assert idle.due(36.0, 47.0) == 47.0, "a byte came: the silence is another one"
    assert not idle.found(36.0, 47.0, nothing=True)
    assert idle.found(36.0, 49.0, nothing=True)


def looked_at(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    told: tuple[str, bool],
    *steps: dict[str, object],
    attendant: Attendant | None = None,
) -> Ending:
    """Boot a guest that is silent for longer than usual and that looks find as the test has it."""
    monkeypatch.setattr(patience, "pulse", lambda _texts: told)
    monkeypatch.setattr(patience, "does_nothing", lambda _texts: not told[1])
    monkeypatch.setattr(patience, "_LOOK_EVERY", 0.1)
    monkeypatch.setattr(patience, "_BETWEEN", 0.01)
    limits = {**QUICK, Phase.INIT: Limit(deadline=60.0, silence=60.0, look=0.2)}
    return run(KERNEL, *steps, OFF, deadlines=limits, attendant=attendant).ending


def test_a_silent_guest_that_does_nothing_hangs_early(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = "all its vCPUs wait for an interrupt (HLT)"
    monkeypatch.setattr(Patience, "_runs", lambda _: True)
    ending = looked_at(run, monkeypatch, (waits, False), {"sleep": 600.0})
    assert (ending.kind, ending.phase) == (EndingKind.HANG, "init")
    told = re.fullmatch(rf"no console byte for (\d+\.\d) s; {re.escape(waits)}", ending.detail)
    assert told is not None
    assert float(told[1]) < 30.0, "phases before this one have limits of 40 s"


def test_a_silent_guest_that_computes_boots_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patience, "_runs", lambda _: True)
    ending = looked_at(run, monkeypatch, ("it computes", True), {"sleep": SILENT}, document("{}"))
    assert ending.kind is EndingKind.COMPLETED


@pytest.mark.parametrize("types", [True, False])
def test_a_person_who_types_may_think(run: Run, monkeypatch: pytest.MonkeyPatch, *, types: bool) -> None:
    monkeypatch.setattr(Patience, "_runs", lambda _: True)
    monkeypatch.setattr(Patience, "_starves", lambda *_: False)
    with Terminal(io.BytesIO(), None, print) as terminal:
        terminal.types = types
        steps: tuple[dict[str, object], ...] = ({"sleep": SILENT if types else 600.0}, document("{}"))
        ending = looked_at(run, monkeypatch, ("it waits", False), *steps, attendant=terminal)
    assert ending.kind is (EndingKind.COMPLETED if types else EndingKind.HANG)


@pytest.mark.parametrize("what", ["_runs", "_starves"])
def test_who_is_stopped_or_starves_is_no_hang(run: Run, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(Patience, "_runs", lambda _: what != "_runs")
    monkeypatch.setattr(Patience, "_starves", lambda *_: what == "_starves")
    ending = looked_at(run, monkeypatch, ("it waits", False), {"sleep": SILENT}, document("{}"))
    assert ending.kind is EndingKind.COMPLETED


def test_a_hang_is_looked_for_after_three_times_the_normal_time() -> None:
    empty, large = deadlines("tcg", 0), deadlines("tcg", 8192)
    for phase, normal in NORMAL.items():
        assert empty[phase].look == 3 * normal + 2 < empty[phase].silence
        assert empty[phase].look < large[phase].look < large[phase].silence
    assert empty[Phase.ACTIONS].look == math.inf
    whole = deadlines("tcg", 0, debian=True)
    assert {phase for phase in Phase if whole[phase].look == math.inf} == {
        Phase.INIT,
        Phase.ACTIONS,
        Phase.DONE,
    }


def test_what_is_read_and_who_shares_lengthen_the_limits() -> None:
    plain, reading = deadlines("tcg", 6144), deadlines("tcg", 6144, read_mib=1088)
    assert reading[Phase.LOADER].silence > 92 > plain[Phase.LOADER].silence
    assert reading[Phase.LAUNCH] == plain[Phase.LAUNCH]
    assert reading[Phase.INIT] == plain[Phase.INIT], "what loaders read is unpacked by then"
    assert deadlines("tcg", 6144, share=21)[Phase.KERNEL].silence > 99
    assert deadlines("tcg", 6144, share=0.5) == plain


class Clock:
    """A machine of which there is a clock alone, which a test sets."""

    pid = 1
    spec = SimpleNamespace(protected=False)

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now


def looks(monkeypatch: pytest.MonkeyPatch, share: float, *times: float) -> Patience:
    """Return the patience of a boot that was looked at, and whose QEMU got a share of its time."""
    monkeypatch.setattr(patience, "state_of", lambda _pid: "R")
    monkeypatch.setattr(patience, "ran_by", lambda _pid, now: Ran(now, share * now, (1 - share) * now))
    machine = Clock()
    found = Patience(cast("Machine", machine), LIMITS)
    for now in times:
        machine.now = now
        assert found.look(SEEN) is None
    return found


@pytest.mark.faults
def test_a_host_without_processors_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    hang = Ending(EndingKind.HANG, "kernel", "", "no console byte for 10 s")
    ending = looks(monkeypatch, 0.04, *range(20, 31)).at_limit(SEEN, hang)
    assert ending is not None
    assert ending.kind is EndingKind.HOST
    assert ending.detail == (
        "QEMU got 4% of the processor time that it asked for: the host was busy; no console byte for 10 s"
    )
    monkeypatch.setattr(Patience, "_registers", lambda _: iter([registers((0x10, 1))] * 5))
    fed = looks(monkeypatch, 0.9, *range(20, 31)).at_limit(SEEN, hang)
    assert fed is not None
    assert fed.kind is EndingKind.HANG


@pytest.mark.faults
def test_a_clock_that_jumps_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that slept, or a virtual machine that was moved: no look came for three minutes."""
    asked: dict[str, Any] = {"returncode": None, "confidential": False, "qemu_log": "", "limits": LIMITS}
    slept = looks(monkeypatch, 1.0, *range(1, 22), 201.0)
    assert slept.pauses == ((21.0, 201.0),)
    assert judge(SEEN, (), now=201.0, pauses=slept.pauses, **asked) is None
    assert slept.until(SEEN) >= 210.0
    awake = looks(monkeypatch, 1.0, *range(1, 202))
    assert awake.pauses == ()
    assert judge(SEEN, (), now=201.0, pauses=awake.pauses, **asked) is not None


@pytest.mark.faults
@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_a_wall_clock_that_is_set_changes_no_boot(
    run: Run, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    real, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: real() + jump * next(calls))
    record = run(KERNEL, {"sleep": 0.3}, document("{}"), OFF)
    assert record.ending.kind is EndingKind.COMPLETED
    assert 0.3 <= record.durations["boot"] < 60.0
