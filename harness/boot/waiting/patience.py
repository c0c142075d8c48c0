# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whether a silent guest hangs or computes, or its host stands still: what registers and /proc say."""

from __future__ import annotations

import math
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.boot.ending import lost, next_look
from harness.evidence.record import Ending, EndingKind
from harness.machine.qmp import MonitorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.boot.ending import Pauses
    from harness.boot.phases import Limit, Phase
    from harness.boot.watch import Seen
    from harness.machine.machine import Machine

STOPPED_SECONDS = 60.0
"""How long QEMU may stand still, stopped, before the boot is over."""
_GAP = 5.0
"""Seconds between two looks, which are due four times a second, in which the harness itself stood still."""
EVERY = 1.0
"""Seconds between two looks at QEMU's process."""
_LATELY = 10.0
_STARVED = 0.25
"""Share of the processor time that QEMU asked for, and could have had, from which on it does not starve."""
_SAMPLES, _BETWEEN = 5, 0.1
_LOOP_BYTES = 256
_LOOKS, _LOOK_EVERY = 2, 2.0
"""A hang is a guest that so many looks in a row, so many seconds apart, find to do nothing."""
_RIP = re.compile(r"^RIP=(?P<rip>[0-9a-f]+) .*\bHLT=(?P<halted>[01])", re.MULTILINE)
_STATE = re.compile(r"\b(?:R[A-D]X|R[SD]I|R[BS]P|R[89]|R1[0-5]) ?=[0-9a-f]+")
_STOPPED = {"T", "t"}
_HALTED = "all its vCPUs wait for an interrupt (HLT)"
_MUTE = "QEMU did not answer when the harness asked for the registers"
_NANO = 1e9


@dataclass(frozen=True)
class Ran:
    """At ``t`` seconds: the seconds that QEMU's threads have run, and have waited for a processor."""

    t: float
    ran: float
    waited: float


@dataclass
class Idle:
    """Looks at a silent guest: when the next is due, and how many in a row found that it does nothing.

    ``quiet``: when the silence began.
    """

    quiet: float = -1.0
    next: float = 0.0
    count: int = 0

    def due(self, quiet: float, first: float) -> float:
        """Return when the next look is due; ``first`` is when the first one of this silence is."""
        return max(first, self.next) if quiet == self.quiet else first

    def found(self, quiet: float, now: float, *, nothing: bool) -> bool:
        """Note whether the guest does ``nothing``; return whether it hangs."""
        before = self.count if quiet == self.quiet else 0
        self.quiet, self.next = quiet, now + _LOOK_EVERY
        self.count = before + 1 if nothing else 0
        return self.count >= _LOOKS


class Patience:
    """One boot's; asked at every look, and when a limit is reached.

    ``looks``: whether a silent guest is looked at before its limit; a person who types may think for a while.
    """

    def __init__(self, machine: Machine, limits: Mapping[Phase, Limit], *, looks: bool = True) -> None:
        self._machine = machine
        self._limits = limits
        self._looks = looks
        self._pauses: list[tuple[float, float]] = []
        self._last = 0.0
        self._stopped = 0.0
        self._samples: list[Ran] = []
        self._extended = False
        self._idle = Idle()

    @property
    def pauses(self) -> Pauses:
        """The spans of time in which the guest could not run: they count for no limit."""
        return tuple(self._pauses)

    def until(self, seen: Seen) -> float:
        """Return the time at which the boot is a hang, or is looked at, unless something happens before."""
        return min(
            next_look(seen, self._limits, self.pauses),
            self._idle.due(_quiet(seen), self._look_at(seen)),
        )

    def at_look(self, seen: Seen) -> Ending | None:
        """Return the hang of a guest that is silent for longer than usual and does nothing, None before that.

        What QEMU waited for a processor does not count: a busy host is no silent guest.
        """
        now, quiet = self._machine.clock(), _quiet(seen)
        if now < self._idle.due(quiet, self._look_at(seen)):
            return None
        self._samples.append(ran_by(self._machine.pid, now))
        texts = list(self._registers())
        told, _ = pulse(texts)
        nothing = does_nothing(texts) and self._runs() and not self._starves(now)
        if not self._idle.found(quiet, now, nothing=nothing):
            return None
        detail = f"no console byte for {now - quiet:.1f} s; {told}"
        return Ending(EndingKind.HANG, seen.phase.label, seen.last_line, detail)

    def _runs(self) -> bool:
        """Return whether the guest may run: neither gdb nor the monitor has stopped it."""
        try:
            status = self._machine.qmp.execute("query-status")
        except MonitorError:
            return False
        return isinstance(status, dict) and status.get("status") == "running"

    def _starves(self, now: float) -> bool:
        """Return whether QEMU lately got little of the processor time that it asked for."""
        lately = [sample for sample in self._samples if sample.t >= now - _LATELY]
        return share_of(lately[0], lately[-1], _processors()) < _STARVED

    def _look_at(self, seen: Seen) -> float:
        if not self._looks:
            return math.inf
        quiet = _quiet(seen)
        samples = [sample for sample in self._samples if sample.t >= quiet]
        waited = samples[-1].waited - samples[0].waited if samples else 0.0
        return quiet + self._limits[seen.phase].look + waited + lost(self.pauses, quiet)

    def look(self, seen: Seen) -> Ending | None:
        """Note what the host does; return the end of a boot whose QEMU stands still for too long."""
        now = self._machine.clock()
        gap = now - self._last
        if gap < EVERY:
            return None
        stopped = state_of(self._machine.pid) in _STOPPED
        if stopped or gap > _GAP:
            self._pauses.append((self._last, now))
        self._stopped = self._stopped + gap if stopped else 0.0
        self._last = now
        self._samples.append(ran_by(self._machine.pid, now))
        if self._stopped < STOPPED_SECONDS:
            return None
        what = f"QEMU was stopped for {self._stopped:.0f} s (SIGSTOP, or a debugger): its guest could not run"
        return Ending(EndingKind.HOST, seen.phase.label, seen.last_line, what)

    def at_limit(self, seen: Seen, hang: Ending) -> Ending | None:
        """Return what a hang is, once a limit is reached; None for a guest that computes: it gets more."""
        quiet = _quiet(seen)
        samples = [sample for sample in self._samples if sample.t >= quiet]
        if samples and (share := share_of(samples[0], samples[-1], _processors())) < _STARVED:
            what = f"QEMU got {share:.0%} of the processor time that it asked for: the host was busy"
            return Ending(EndingKind.HOST, hang.phase, hang.last_line, f"{what}; {hang.detail}")
        if self._machine.spec.protected:
            told, computes = by_processors(samples)
        else:
            told, computes = pulse(list(self._registers()))
        if computes and not self._extended:
            self._extended = True
            self._pauses.append((quiet, self._machine.clock()))
            return None
        return Ending(hang.kind, hang.phase, hang.last_line, f"{hang.detail}; {told}")

    def _registers(self) -> Iterator[str]:
        """Yield QEMU's texts of the registers; none of a guest that keeps them, for what QEMU has is old."""
        if self._machine.spec.protected:
            return
        arguments = {"command-line": "info registers -a"}
        for _ in range(_SAMPLES):
            try:
                yield str(self._machine.qmp.execute("human-monitor-command", **arguments))
            except MonitorError:
                return
            time.sleep(_BETWEEN)


def _quiet(seen: Seen) -> float:
    """Return since when no console has said a word in this phase."""
    return max(seen.last_byte, seen.marks[-1].t)


def pulse(texts: Sequence[str]) -> tuple[str, bool]:
    """Return what vCPUs do, and if they compute, by QEMU's texts of their registers, one after the other.

    A vCPU computes that is found in places further apart than a short loop is long.
    """
    seen = [
        [(int(match["rip"], 16), match["halted"] == "1") for match in _RIP.finditer(text)] for text in texts
    ]
    if not seen or not seen[0]:
        return _MUTE, False
    if all(halted for vcpus in seen for _, halted in vcpus):
        return _HALTED, False
    running = [[rip for rip, halted in vcpu if not halted] for vcpu in zip(*seen, strict=False)]
    spans = [(max(rips) - min(rips), min(rips)) for rips in running if rips]
    widest, place = max(spans)
    if widest > _LOOP_BYTES:
        return f"it computes: a vCPU was found in places up to {widest:#x} bytes apart", True
    return f"a vCPU runs in a loop at {place:#x}", False


def by_processors(samples: Sequence[Ran]) -> tuple[str, bool]:
    """Return what a guest does that keeps its registers, and if it computes, by the time that QEMU ran.

    A guest that runs for more than half of a silence computes, or loops: nobody else can tell.
    """
    ran = samples[-1].ran - samples[0].ran if samples else 0.0
    seconds = samples[-1].t - samples[0].t if samples else 0.0
    told = f"its registers are its own; QEMU ran for {ran:.1f} s in {seconds:.1f} s"
    return told, ran > seconds / 2


def does_nothing(texts: Sequence[str]) -> bool:
    """Return whether vCPUs only wait, by QEMU's texts of their registers, one after the other.

    All are halted each time, whatever an interrupt does in between, or run in loops that change no register:
    one that clears memory counts in one.
    """
    told, computes = pulse(texts)
    if computes or len(texts) < _SAMPLES:
        return False
    if told == _HALTED:
        return True
    states = [tuple(_STATE.findall(text)) for text in texts]
    return bool(states[0]) and all(state == states[0] for state in states)


def share_of(first: Ran, last: Ran, processors: int) -> float:
    """Return which share QEMU got of the processor time that it wanted, if that was much; else 1."""
    ran, waited, seconds = last.ran - first.ran, last.waited - first.waited, last.t - first.t
    asked = min(ran + waited, seconds * processors)
    return ran / asked if asked > seconds / 2 else 1.0


def state_of(pid: int) -> str:
    """Return the state of a process as proc(5) has it (R, S, D, T, …), "" for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def ran_by(pid: int, now: float) -> Ran:
    """Return what a process's threads have run, and have waited for a processor (``schedstat``)."""
    ran = waited = 0
    for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            fields = stat.read_text().split()
        except OSError:
            continue
        ran, waited = ran + int(fields[0]), waited + int(fields[1])
    return Ran(now, ran / _NANO, waited / _NANO)


def _processors() -> int:
    return len(os.sched_getaffinity(0))
