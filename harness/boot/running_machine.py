# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest that runs for as long as somebody works with it: its console, its QMP, and waits.

Every wait races against the guest's death, as a boot's own do, and has a deadline.
"""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from harness.boot.driver import ending_of
from harness.boot.phases import Limit, Phase
from harness.boot.watch import Watch
from harness.errors import HarnessError
from harness.evidence.text import plain_text
from harness.machine.machine import Machine
from harness.machine.overlay import on_overlays
from harness.machine.serial import Serial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from harness.machine.qmp import Event, Monitor
    from harness.machine.spec import MachineSpec

T = TypeVar("T")
R = TypeVar("R", bound="RunningMachine")

WAIT_SECONDS = 60.0
"""Deadline of a wait that says no other."""
KEPT = 1 << 20
"""Bytes of the console in which a text is looked for: the latest."""
_SETTLED = 0.5
"""Seconds of silence after which a line without an end, such as a prompt, counts as whole."""
_OVERLAP = 4096
"""Bytes that a text may stretch over two pieces of the console."""
NO_LIMITS = dict.fromkeys(Phase, Limit(math.inf, math.inf))
"""Whoever works with a guest decides how long it may be silent."""


class ConsoleText:
    """What a console has said, to be searched while it grows."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._gone = 0
        self._fed = 0.0

    def feed(self, data: bytes, t: float) -> None:
        """Take the next bytes, which came ``t`` seconds into the boot, on the consoles' thread."""
        self._fed = t
        self._data += data
        surplus = len(self._data) - KEPT
        if surplus > 0:
            del self._data[:surplus]
            self._gone += surplus

    def search(self, pattern: re.Pattern[str], start: int, now: float = math.inf) -> tuple[str | None, int]:
        """Return the line with the first match at byte ``start`` or later, and where to look next time.

        The rest of a line may still be on its way: one without an end counts once the console has been silent
        for half a second, ``now`` being the seconds into the boot.
        """
        text = plain_text(bytes(self._data[max(0, start - self._gone) :]))
        match = pattern.search(text)
        if match is None:
            return None, max(start, self._gone + len(self._data) - _OVERLAP)
        begin = text.rfind("\n", 0, match.start()) + 1
        line, end, _ = text[begin:].partition("\n")
        whole = bool(end) or now - self._fed >= _SETTLED
        return line.strip() if whole else None, start


class RunningMachine:
    """A guest at work. ``serial`` is its console for pexpect, from the first byte on."""

    def __init__(self, machine: Machine) -> None:
        """Watch a machine whose guest is still paused."""
        self.machine = machine
        self.serial = Serial(machine, timeout=WAIT_SECONDS, gone=self.gone)
        self._watch = Watch()
        self._console = ConsoleText()
        for name in machine.consoles:
            machine.watch(name, partial(self._watch.feed, name))
        machine.watch("serial", self._console.feed)

    @property
    def qmp(self) -> Monitor:
        """QEMU's monitor: ``qmp.execute("query-status")``."""
        return self.machine.qmp

    @property
    def phase(self) -> Phase:
        """How far the boot has come."""
        return self._watch.seen().phase

    @property
    def console_file(self) -> str:
        """Where the whole console is, for a message."""
        return f"its console: {self.machine.rundir / 'serial.log'}"

    def gone(self, limits: Mapping[Phase, Limit] = NO_LIMITS) -> str:
        """Return how the guest has ended, "" while it lives and keeps within ``limits``."""
        ending = ending_of(self.machine, self._watch, limits)
        if ending is None:
            return ""
        return f"{ending.kind} in phase {ending.phase}: {ending.detail}; last line: {ending.last_line}"

    def wait_for_console_text(self, pattern: str, seconds: float = WAIT_SECONDS) -> str:
        """Return the first line of the serial console that matches a regular expression, said before or now.

        HarnessError when the guest ends before it, or has not said it after ``seconds``.
        """
        __tracebackhide__ = True
        compiled, start = re.compile(pattern), 0

        def look() -> str | None:
            nonlocal start
            now = math.inf if self.gone() else self.machine.clock()
            line, start = self._console.search(compiled, start, now)
            return line

        return self.wait(look, f"a console line with /{pattern}/", seconds)

    def wait_for_qmp_event(self, name: str, seconds: float = WAIT_SECONDS) -> Event:
        """Return the first QMP event of a name, one that has come or that comes within ``seconds``.

        HarnessError when the guest ends without it, or the time is up.
        """
        __tracebackhide__ = True
        return self.wait(
            lambda: next((event for event in self.machine.events if event.name == name), None),
            f"the QMP event {name}",
            seconds,
        )

    def wait(
        self,
        look: Callable[[], T | None],
        what: str,
        seconds: float = WAIT_SECONDS,
        limits: Mapping[Phase, Limit] = NO_LIMITS,
    ) -> T:
        """Return what ``look`` gives once it is not None; it looks whenever something happens.

        HarnessError, which says that ``what`` was waited for, when the guest has ended or the time is up.
        """
        __tracebackhide__ = True

        found: T | None = None
        why = ""

        def over() -> bool | None:
            nonlocal found, why
            found = look()
            why = "" if found is not None else self.gone(limits)
            return found is not None or bool(why) or None

        self.machine.wait(over, self.machine.clock() + seconds)
        if found is not None:
            return found
        if why:
            raise HarnessError(f"waited for {what}, but the guest has ended: {why}", self.console_file)
        last = self._watch.seen().last_line
        said = f"waited {seconds:g} s for {what}; the console said last: {last}"
        raise HarnessError(said, self.console_file)


@contextmanager
def running_machine(spec: MachineSpec, folder: Path, kind: type[R]) -> Iterator[R]:
    """Start a machine and let its guest run; both end with the block.

    ``kind`` is `RunningMachine` or made of it. Consoles, events, QEMU's output and overlays are files of
    ``folder``, which must be new. LaunchError when QEMU does not come up.
    """
    folder = folder.absolute()
    if (folder / "serial.log").exists():
        raise HarnessError(f"{folder}: already holds a boot", "give each boot a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
    with Machine(replace(spec, drives=on_overlays(spec.drives, folder)), folder) as machine:
        running = kind(machine)
        machine.cont()
        yield running
