# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Memory of a guest whose boot went wrong: kept in its record, around the fault or where the user says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.boot.ending import FAULT_EVENT
from harness.errors import HarnessError
from harness.evidence.record import REGISTERS, EndingKind
from harness.evidence.symbols.registers import read_registers
from harness.machine.memory_dump import Span, dump_memory
from harness.machine.qmp import MonitorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.boot.talk import Attendant
    from harness.evidence.record import Ending
    from harness.machine.machine import Machine

_GPA = re.compile(r"gpa: 0x([0-9a-f]+)")
_ADDRESS_BITS = (1 << 51) - 1
"""Of a guest physical address; the C-bit is the next one."""


class MemoryKeeper:
    """An attendant (`harness.boot.talk.Attendant`) before another: it keeps memory before the machine ends.

    ``wanted`` is what the user named; without that it is the 2 MiB around the page of the last fault, or
    where the first vCPU ran. ``said`` receives sentences for the person.
    """

    def __init__(self, inner: Attendant, wanted: Span | None, said: Callable[[str], None]) -> None:
        self._inner = inner
        self._wanted = wanted
        self._said = said
        self.by_gdb = inner.by_gdb
        self.types = inner.types

    def attach(self, machine: Machine) -> None:
        """Do what the other one does."""
        self._inner.attach(machine)

    def listen(self) -> None:
        """Do what the other one does."""
        self._inner.listen()

    def stay(self, machine: Machine, ending: Ending) -> None:
        """Keep the memory of a boot that went wrong, then do what the other one does."""
        if ending.kind is not EndingKind.COMPLETED:
            self._keep(machine)
        self._inner.stay(machine, ending)

    def _keep(self, machine: Machine) -> None:
        if machine.returncode is not None:
            self._said("no memory is kept: QEMU has ended, and the guest's memory with it")
            return
        span = self._wanted or _of_fault(machine)
        if span is None:
            self._said("no memory is kept: no fault and no register says where; name an address")
            return
        try:
            for line in dump_memory(machine, [span]):
                self._said(line)
        except HarnessError as error:
            self._said(f"no memory is kept: {error.what}")


def _of_fault(machine: Machine) -> Span | None:
    """Return the 2 MiB of the last fault, else of the code that the first vCPU ran; None for neither."""
    faults = [event for event in machine.events if event.name == FAULT_EVENT and "gpa" in event.data]
    if faults:
        return Span.around(int(str(faults[-1].data["gpa"])))
    registers = machine.rundir / REGISTERS
    found = read_registers(registers.read_text(errors="replace")) if registers.is_file() else None
    if found is None or not found.rips:
        return None
    try:
        said = machine.qmp.execute("human-monitor-command", **{"command-line": f"gva2gpa {found.rips[0]:#x}"})
    except MonitorError:
        return None
    match = _GPA.search(str(said))
    return Span.around(int(match[1], 16) & _ADDRESS_BITS) if match is not None else None
