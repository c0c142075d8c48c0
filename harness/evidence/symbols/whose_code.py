# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whose code an event of the ledger is, where QEMU could not tell.

QEMU knows code by the PE header in front of it. A loader that loads the kernel's PE image itself, as later
stubs of systemd do, leaves the header out, and the kernel's EFI stub is "firmware" to QEMU. The memory map
knows better: a loader's allocations are Loader Code, and a driver's image is Boot Code (UEFI 2.10, 7.2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from harness.intervals import IntervalSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evidence.ledger_model import Event, ExitCall, Fault, Ledger, Phase
    from harness.evidence.memory_map import MemoryDescriptor

_LOADED = "Loader Code"
_Line = TypeVar("_Line", "Event", "Fault", "ExitCall")


@dataclass(frozen=True)
class _Callers:
    """Who called ExitBootServices: their ``code``, and all that was ``loaded``; lines of the ledger."""

    code: IntervalSet
    loaded: IntervalSet
    who: Phase
    handover: int | None
    kernel: int | None

    def phase(self, phase: Phase, rip: int, line: int) -> Phase:
        if phase != "firmware":
            return phase
        if rip in self.code:
            return self.who
        if self.handover is None or line <= self.handover:
            return phase
        runs = self.kernel is not None and line > self.kernel
        return "kernel" if not runs or rip in self.loaded else phase

    def of(self, it: _Line) -> _Line:
        phase = self.phase(it.phase, it.rip, it.line)
        return it if phase == it.phase else msgspec.structs.replace(it, phase=phase)


def attributed(ledger: Ledger, handed_over: Sequence[MemoryDescriptor], who: Phase = "efi-stub") -> Ledger:
    """Return the ledger with ``who`` for the code that called ExitBootServices, unless that is firmware.

    ``handed_over`` is the memory map at that call, which may be empty. Once boot services are left no code is
    firmware's until the kernel runs: what is not ``who`` is the kernel's, which runs identity mapped.
    """
    loaded = [(entry.start, entry.end) for entry in handed_over if entry.type == _LOADED]
    code = [(start, end) for start, end in loaded if any(start <= call.rip < end for call in ledger.exits)]
    callers = _Callers(
        code=IntervalSet.of(code),
        loaded=IntervalSet.of(loaded),
        who=who,
        handover=ledger.handover,
        kernel=next((event.line for event in ledger.select(phase="kernel")), None),
    )
    return replace(
        ledger,
        events=tuple(callers.of(event) for event in ledger.events),
        faults=tuple(callers.of(fault) for fault in ledger.faults),
        exits=tuple(callers.of(call) for call in ledger.exits),
    )
