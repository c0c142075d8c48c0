# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The lives of a guest: a QEMU of 2026 launches a confidential guest anew when it is reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.machine.qmp import MonitorError
from harness.platforms.qemu_answers import RELAUNCHES

if TYPE_CHECKING:
    from harness.boot.watch import Watch
    from harness.evidence.record import PhaseMark
    from harness.machine.machine import Machine
    from harness.machine.qmp import Monitor
    from harness.machine.spec import MachineSpec

ANSWER_SECONDS = 30.0
"""Within which QEMU stops a machine, or resets one: both are a matter of milliseconds."""


def is_relaunched(spec: MachineSpec, monitor: Monitor) -> bool:
    """Return whether a machine's QEMU launches its guest anew on reset; under KVM by QEMU's own answer."""
    own = spec.confidential
    if own is None:
        return False
    if not spec.accel.startswith("kvm"):
        return ("reset", "rebuild") in own.properties
    if own.type != "sev-snp-guest":
        return False
    answer = monitor.execute("qom-list", path="/machine")
    listed = answer if isinstance(answer, list) else []
    return any(each.get("name") == RELAUNCHES for each in listed if isinstance(each, dict))


class Story:
    """A machine, and the lives of its guest so far.

    QEMU stops at a reset, so that whatever a console says belongs to one life. ``begun``: bytes of serial and
    debug console at which each later life begins; ``since``: events before that of the life; ``first_marks``:
    the phases of the first life, once it is over.
    """

    def __init__(self, machine: Machine, watch: Watch, lives: int) -> None:
        self.machine = machine
        self.watch = watch
        self.begun: list[tuple[int, int]] = []
        self.since = 0
        self.first_marks: tuple[PhaseMark, ...] = ()
        self._left = lives - 1

    def goes_on(self) -> bool:
        """Launch a guest anew that was reset; false when that was its last life, or QEMU does not do it."""
        if not self._left or not self._await("STOP"):
            return False
        self._left -= 1
        serial, debugcon = (self.machine.consoles[name] for name in ("serial", "debugcon"))
        begins = (serial.total - serial.dropped, debugcon.total - debugcon.dropped)
        marks, before = self.watch.seen().marks, len(self.machine.events)
        try:
            # The machine was started to stop at a reset, and the next one is to stop it again.
            self.machine.qmp.execute("set-action", reboot="reset")
            self.machine.qmp.execute("system_reset")
            self.machine.qmp.execute("set-action", reboot="shutdown")
            self.since = before
            if not self._await("RESET"):
                return False
            self.watch.begin_anew(self.machine.clock())
            self.since = len(self.machine.events)
            self.machine.go_on()
        except MonitorError:
            return False
        self.first_marks = self.first_marks or marks
        self.begun.append(begins)
        return True

    def _await(self, name: str) -> bool:
        """Return whether the event came, in this life."""

        def look() -> bool | None:
            return any(event.name == name for event in self.machine.events[self.since :]) or None

        return bool(self.machine.wait(look, self.machine.clock() + ANSWER_SECONDS))
