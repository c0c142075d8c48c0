# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One running QEMU: started paused, everything attached, then let run; nothing of it is left behind."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
import time
from typing import TYPE_CHECKING, Self, TypeVar

from harness.machine.argv import Channels, argv
from harness.machine.background import background
from harness.machine.cgroup import Group
from harness.machine.console import CAP, Console
from harness.machine.process import LaunchError, Process
from harness.machine.qmp import Event, Monitor, MonitorError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from harness.machine.cgroup import Kills
    from harness.machine.spec import MachineSpec

T = TypeVar("T")

GREETING_SECONDS = 30.0
"""How long QEMU may take from its start to its QMP greeting (large memory backends, a loaded host)."""
_PER_GIB = 2.0
"""How much longer for each GiB of memory that is to be there before: one thread of QEMU clears it."""
LAUNCH_SECONDS = 300.0
"""How long QEMU may take to let a protected guest run: all of its launch is in that command, and the secure
processor launches one guest after the other."""

QUIT_SECONDS = 5.0
FILE_BYTES = 4 << 30
"""Of each file that QEMU writes: a guest's disk is the largest."""
_LOOK_SECONDS = 0.25
"""Longest sleep of a wait: an interrupt that does not wake a lock is seen after this time."""


def greeting_seconds(spec: MachineSpec) -> float:
    """Return how long a machine's QEMU may take from its start to its QMP greeting."""
    there = ("prealloc", "on") in spec.backing
    return GREETING_SECONDS + (_PER_GIB * spec.memory_mib / 1024 if there else 0.0)


class Machine:
    """A context manager around one QEMU. Logs and events go to ``rundir``, QEMU's working folder."""

    def __init__(self, spec: MachineSpec, rundir: Path, *, console_cap: int = CAP) -> None:
        self.spec = spec
        self.rundir = rundir
        self.consoles: Mapping[str, Console] = {}
        self._console_cap = console_cap
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._zero: float | None = None
        self._process: Process | None = None
        self._group: Group | None = None
        self._kills: Kills | None = None
        self._ended: int | None = None
        self._last_words: asyncio.Task[None] | None = None
        self._monitor: Monitor | None = None

    def __enter__(self) -> Self:
        """Start QEMU with its vCPUs paused; raise ``LaunchError`` when it does not come up."""
        self.rundir.mkdir(parents=True, exist_ok=True)
        (self.rundir / "qmp-events.jsonl").write_bytes(b"")
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self.consoles = {
            name: Console(name, self.rundir, clock=self.clock, changed=self._wake, cap=self._console_cap)
            for name in ("serial", "debugcon")
        }
        serial, debugcon = self.consoles["serial"], self.consoles["debugcon"]
        ours, theirs = socket.socketpair()
        with theirs:
            channels = Channels(
                qmp=theirs.fileno(),
                serial_out=serial.guest_out,
                serial_in=serial.guest_in,
                debugcon=debugcon.guest_out,
            )
            command = argv(self.spec, channels)
            self._group = Group.make(self.spec)
            try:
                self._process = Process(
                    command,
                    log=self.rundir / "qemu.log",
                    folder=self.rundir,
                    inherited=(channels.qmp, channels.serial_out, channels.serial_in, channels.debugcon),
                    on_exit=self._on_exit,
                    entrance=self._group.entrance if self._group is not None else None,
                )
            except BaseException:
                ours.close()
                raise
        for console in self.consoles.values():
            console.start()
        self._monitor = Monitor(self._on_event)
        try:
            self._monitor.connect(ours, greeting_seconds(self.spec))
        except MonitorError as error:
            ours.close()
            returncode = self._process.wait(1.0)
            why = f"it ended with exit code {returncode}" if returncode is not None else error.what
            raise LaunchError(why, command, returncode, self.rundir / "qemu.log") from error

    @property
    def command(self) -> tuple[str, ...]:
        """The command as it was started, with its inherited descriptors; empty before that."""
        return self._process.command if self._process is not None else ()

    @property
    def pid(self) -> int:
        """QEMU's process number; RuntimeError before the start."""
        return self._running().pid

    @property
    def returncode(self) -> int | None:
        """QEMU's exit code (negative: signal number); None while it runs."""
        return self._process.returncode if self._process is not None else None

    @property
    def ended(self) -> int | None:
        """``returncode``, but only once the last console bytes and events have been taken."""
        return self._ended

    @property
    def kills(self) -> Kills | None:
        """Whom the kernel killed for memory in the cgroup of a QEMU that has ``ended``; None without one."""
        return self._kills

    @property
    def memory_limit(self) -> int | None:
        """The bytes that QEMU may take at most; None where no cgroup limits it."""
        return self._group.limit if self._group is not None else None

    @property
    def qmp(self) -> Monitor:
        """QEMU's monitor; RuntimeError before the start."""
        if self._monitor is None:
            raise RuntimeError("the machine has not been started")
        return self._monitor

    @property
    def events(self) -> tuple[Event, ...]:
        """QEMU's events up to now, in their order."""
        with self._changed:
            return tuple(self._events)

    def clock(self) -> float:
        """Seconds since ``cont``, 0 before it."""
        return 0.0 if self._zero is None else time.monotonic() - self._zero

    def watch(self, console: str, watcher: Callable[[bytes, float], None]) -> None:
        """Call ``watcher(data, t)``, on another thread, for all that the console says; before ``cont``."""
        self.consoles[console].watch(watcher)

    def cont(self, *, by_gdb: bool = False, processor_seconds: float = math.inf) -> None:
        """Let the guest run, or let it wait until ``by_gdb`` it runs; the clock starts.

        From here on QEMU's files are limited to ``FILE_BYTES``, and itself to ``processor_seconds``.
        """
        self._running().confine(FILE_BYTES, processor_seconds)
        self._zero = time.monotonic()
        if not by_gdb:
            self.go_on()

    def go_on(self) -> None:
        """Let vCPUs run that are paused, once QEMU has launched the guest; raise ``MonitorError``."""
        if self.spec.protected:
            self.qmp.execute_within(LAUNCH_SECONDS, "cont")
        else:
            self.qmp.execute("cont")

    def serial_write(self, data: bytes) -> None:
        """Type ``data`` on the guest's serial console; BrokenPipeError without QEMU."""
        self.consoles["serial"].write(data)

    def wait(self, look: Callable[[], T | None], until: float) -> T | None:
        """Return ``look()`` once it is not None; give up with None when the clock reaches ``until``.

        It looks whenever something happens: console data, a QMP event, QEMU's exit.
        """
        while True:
            with self._changed:
                found = look()
                left = until - self.clock()
                if found is not None or left <= 0:
                    return found
                self._changed.wait(min(left, _LOOK_SECONDS))

    def quit(self) -> int | None:
        """End QEMU, asking first, and give its exit code."""
        if self._process is None:
            return None
        if self._process.returncode is None and self._monitor is not None:
            # QEMU may close the connection before its answer is read.
            with contextlib.suppress(MonitorError):
                self._monitor.execute("quit")
                self._process.wait(QUIT_SECONDS)
        self._process.kill()
        return self._process.returncode

    def close(self) -> None:
        """End QEMU, take the last console bytes, close everything. Idempotent."""
        try:
            self.quit()
        finally:
            if self._process is not None:
                self._process.kill()
            if self._monitor is not None:
                self._monitor.disconnect()
            for console in self.consoles.values():
                console.close()
            if self._group is not None:
                self._group.remove()

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("the machine has not been started")
        return self._process

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _on_exit(self, returncode: int) -> None:
        # Possibly before the starting thread has come back from Process(): self._process may be unset.
        self._last_words = background().loop.create_task(self._take_last_words(returncode))

    async def _take_last_words(self, returncode: int) -> None:
        if self._monitor is not None:
            await self._monitor.hung_up()
        self._drain()
        self._kills = self._group.kills() if self._group is not None else None
        with self._changed:
            self._ended = returncode
            self._changed.notify_all()

    def _on_event(self, name: str, data: Mapping[str, object]) -> None:
        # Whatever the guest wrote before the event is in the pipes by now: taking it first keeps the order.
        event = Event(self.clock(), name, data)
        self._drain()
        with contextlib.suppress(OSError), (self.rundir / "qmp-events.jsonl").open("a") as file:
            file.write(json.dumps({"t": round(event.t, 4), "event": name, "data": data}) + "\n")
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _drain(self) -> None:
        for console in self.consoles.values():
            console.drain()
