# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A machine that stays when its boot has gone wrong, for whoever wants to look into it."""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING

from harness.machine.qmp import MonitorError
from harness.machine.sockets import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.evidence.record import Ending, EndingKind
    from harness.machine.machine import Machine

GDB, CONSOLE = "gdb.sock", "console.sock"
"""Sockets in the record's folder, QEMU's working folder."""


class Holder:
    """An attendant (`harness.boot.talk.Attendant`) that nobody is: it keeps a machine of a boot gone wrong.

    ``good``: the ending after which it does not. ``said`` receives sentences for whoever is there.
    """

    by_gdb = False
    types = False

    def __init__(self, good: EndingKind, said: Callable[[str], None]) -> None:
        self._good = good
        self._said = said

    def attach(self, machine: Machine) -> None:
        """Do nothing: the boot goes its way."""

    def listen(self) -> None:
        """Do nothing: there is no keyboard."""

    def stay(self, machine: Machine, ending: Ending) -> None:
        """Keep the machine until QEMU ends, which its monitor or gdb can have it do."""
        if ending.kind is self._good or machine.ended is not None:
            return
        self._said(f"{ending.kind} in phase {ending.phase}: {ending.detail}")
        self._said(f"the machine is held, in {machine.rundir}")
        for line in ways_in(machine):
            self._said(line)
        machine.wait(lambda: machine.ended is not None or None, float("inf"))


def ways_in(machine: Machine, *, console: bool = True) -> Iterator[str]:
    """Open gdb's door and, where nobody has it, the guest's console as sockets; yield how each is reached.

    A QEMU that opens neither has none.
    """
    folder = machine.rundir
    backend = {
        "type": "socket",
        "data": {
            "addr": {"type": "unix", "data": {"path": CONSOLE}},
            "server": True,
            "wait": False,
        },
    }
    with contextlib.suppress(MonitorError):
        if console:
            machine.qmp.execute("chardev-change", id="serial", backend=backend)
            before, path = reach(folder, CONSOLE)
            yield f"console: {before}socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:{shlex.quote(path)}"
    with contextlib.suppress(MonitorError):
        door = f"gdbserver unix:{GDB},server=on,wait=off"
        machine.qmp.execute("human-monitor-command", **{"command-line": door})
        before, path = reach(folder, GDB)
        gdb = f"-ex {shlex.quote(f'target remote {path}')}"
        yield f"gdb: {before}gdb {gdb}"
        ask = f"{before}gdb -batch {gdb} -ex 'monitor info registers'"
        yield f"monitor: {ask}; 'monitor quit' ends the machine"
