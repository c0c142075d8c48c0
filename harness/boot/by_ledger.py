# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Phases that no console shows: RELEASE firmware is silent, and its ledger says what runs.

Where there is no ledger either (plain guests, hardware), the phase stays ``launch`` or ``firmware``.
Once boot services are left, what QEMU takes for firmware is the EFI stub: ``evidence.symbols.whose_code``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.boot.phases import Phase, phase_named
from harness.evidence.efi_probe import SUCCESS
from harness.evidence.record import PhaseMark
from harness.evidence.symbols.modules import Module, Modules
from harness.evidence.symbols.registers import read_registers
from harness.formats.json_text import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_FLASH = range(0xFF000000, 0x1_0000_0000)
"""SEC runs in the image itself, which ends at 4 GiB ..."""
_PEI = range(0x80_0000, 0x200_0000)
"""... and PEI's first modules where SEC unpacks them (edk2 OvmfPkg, PcdOvmfPeiMemFvBase)."""
_UPPER_HALF = 0xFF00 << 48
"""Where kernels run; an address below that and above the lower half is none that a processor can run."""
_LOWER_HALF = range(1 << 56)
_SHARES = {"psc-shared", "rescind"}
"""What DXE's drivers do for their buffers; PEI shares nothing outside of its first modules."""
_OF_OTHERS = {"loader": Phase.LOADER, "efi-stub": Phase.STUB}
_MOST_BYTES = 64 << 20
"""The ledger of a guest that runs wild is not read to its end."""


def with_ledger(marks: Sequence[PhaseMark], ledger: Path) -> tuple[PhaseMark, ...]:
    """Return the phases of a boot: those that consoles showed, and those that only the ledger shows.

    A console's mark counts where both have one. Times never go back.
    """
    shown = {phase_named(mark.name): mark.t for mark in marks}
    found = {**_of_ledger(ledger), **shown}
    if found.keys() & {Phase.SEC, Phase.PEI}:
        found.pop(Phase.FIRMWARE, None)
    told: list[PhaseMark] = []
    for phase in sorted(found):
        told.append(PhaseMark(phase.label, max(found[phase], told[-1].t if told else 0.0)))
    return tuple(told)


def with_registers(
    marks: Sequence[PhaseMark], registers: str, images: Sequence[Module], ended: float
) -> tuple[PhaseMark, ...]:
    """Return the phases of a boot, with that which its first vCPU was in at the end, where nothing else told.

    ``registers`` is ``registers.txt``, ``images`` are those that were loaded then; ``ended`` in seconds. A
    confidential guest's registers on hardware are nobody's to read: what QEMU shows in their place is in none
    of the firmware's places.
    """
    if not marks or phase_named(marks[-1].name) not in {Phase.LAUNCH, Phase.FIRMWARE}:
        return tuple(marks)
    rip = next(iter(read_registers(registers).rips), 0)
    if rip in _FLASH:
        phase = Phase.SEC
    elif rip in _PEI:
        phase = Phase.PEI
    elif Modules.of(images).at(rip) is not None:
        phase = Phase.DXE
    else:
        return tuple(marks)
    before = [mark for mark in marks if mark.name != Phase.FIRMWARE.label]
    known = phase is Phase.SEC or marks[-1].name == Phase.FIRMWARE.label
    began = marks[-1].t if known else ended
    return (*before, PhaseMark(phase.label, began))


def _of_ledger(ledger: Path) -> dict[Phase, float]:
    found: dict[Phase, float] = {}
    left = False
    for line in _lines(ledger):
        phase = Phase.STUB if left and line.get("phase") == "firmware" else _phase_of(line)
        left = left or (line.get("event") == "return" and line.get("status") == SUCCESS)
        if phase is not None and isinstance(line.get("t"), int):
            found.setdefault(phase, round(line["t"] / 1e9, 4))
        if phase is Phase.EARLY_KERNEL:
            break  # the console says the rest
    return found


def _phase_of(line: dict[str, Any]) -> Phase | None:
    rip, who = line.get("rip"), line.get("phase")
    if not isinstance(rip, int):
        return None
    if who == "kernel":
        return _of_kernel(rip)
    if who != "firmware":
        return _OF_OTHERS.get(str(who))
    if rip in _FLASH:
        return Phase.SEC
    if rip in _PEI:
        return Phase.PEI
    return Phase.DXE if line.get("op") in _SHARES else None


def _of_kernel(rip: int) -> Phase | None:
    if rip >= _UPPER_HALF:
        return Phase.EARLY_KERNEL
    return Phase.DECOMPRESSOR if rip in _LOWER_HALF else None


def _lines(ledger: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a ledger, as far as they are whole; a damaged one is its checks' affair."""
    try:
        with ledger.open("rb") as file:
            yield from _documents(file)
    except FileNotFoundError:
        return


def _documents(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    read = 0
    for line in lines:
        read += len(line)
        try:
            document = parsed(line)
        except ValueError:
            return
        if not isinstance(document, dict) or read > _MOST_BYTES:
            return
        yield document
