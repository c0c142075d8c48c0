# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The phases of a boot: how the consoles show each, and how long each may take."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from harness.evidence.record import ACTION_BEGIN, ACTIONS_DONE, DOCUMENT_BEGIN, DOCUMENT_END

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.machine.spec import MachineSpec


class Phase(IntEnum):
    """In order; a boot never goes back to an earlier one."""

    LAUNCH = 0
    """Let run; nothing on any console yet."""
    FIRMWARE = 1
    """A first console byte came, and nothing shows which part of the firmware runs."""
    SEC = 2
    PEI = 3
    DXE = 4
    BDS = 5
    LOADER = 6
    """Firmware started something: a boot loader, or an EFI program in the kernel's place."""
    STUB = 7
    """The kernel's EFI stub."""
    DECOMPRESSOR = 8
    EARLY_KERNEL = 9
    """The kernel runs, and has no memory management yet."""
    KERNEL = 10
    INIT = 11
    """The guest's first program: user space."""
    ACTIONS = 12
    """The guest does what the cell asks for, after it has reported."""
    DONE = 13
    """The guest has told everything; power-off is due."""

    @property
    def label(self) -> str:
        """The phase's name in records and messages."""
        return self.name.lower().replace("_", "-")


def phase_named(label: str) -> Phase:
    """Return the phase of a label; ValueError for none. Records of before say ``userspace`` for init."""
    word = "INIT" if label == "userspace" else label.upper().replace("-", "_")
    try:
        return Phase[word]
    except KeyError:
        raise ValueError(f"no phase of a boot: {label!r}") from None


STARTS: tuple[tuple[Phase, re.Pattern[str]], ...] = (
    (Phase.LOADER, re.compile(r"BdsDxe: starting Boot|Welcome to GRUB!|systemd-boot ")),
    (Phase.STUB, re.compile(r"EFI stub: ")),
    (Phase.DECOMPRESSOR, re.compile(r"Decompressing Linux")),
    (Phase.EARLY_KERNEL, re.compile(r"Linux version \d")),
    (Phase.KERNEL, re.compile(r"Memory: \d+K/\d+K available")),
    (Phase.INIT, re.compile(rf"Run /\S+ as init process|^{DOCUMENT_BEGIN}$")),
    (Phase.ACTIONS, re.compile(rf"^{ACTION_BEGIN} ")),
)
"""What a line of the serial console shows when a phase has begun. ``DONE`` is the driver's own parameter."""

FIRMWARE_STARTS: tuple[tuple[Phase, re.Pattern[str]], ...] = (
    (Phase.SEC, re.compile(r"^SecCoreStartupWithStack\(")),
    (Phase.PEI, re.compile(r"^(?:Register PPI Notify|Install PPI|Loading PEIM)\b")),
    (Phase.DXE, re.compile(r"^(?:Loading DXE CORE at|HOBLIST address in DXE)\b")),
    (Phase.BDS, re.compile(r"^\[Bds\] ?Entry")),
)
"""What a DEBUG build's own lines show, wherever it writes them. Source: edk2's DEBUG() texts."""

SILENT_UNTIL_BDS = b"\x1b"
"""First byte of a serial console that BDS connects: RELEASE firmware says nothing before it."""

DONE = re.compile(rf"^{DOCUMENT_END}$")
DONE_WITH_ACTIONS = re.compile(rf"^{ACTIONS_DONE}$")


def phase_of(line: str, done: re.Pattern[str] = DONE) -> Phase | None:
    """Return the phase that one serial line shows to have begun, None for an ordinary line."""
    if done.search(line):
        return Phase.DONE
    return next((phase for phase, regex in reversed(STARTS) if regex.search(line)), None)


def firmware_phase_of(line: str) -> Phase | None:
    """Return the phase that a line of a DEBUG firmware shows to have begun, None for an ordinary line."""
    return next((phase for phase, regex in FIRMWARE_STARTS if regex.search(line)), None)


@dataclass(frozen=True)
class Limit:
    """Seconds: how long a phase may last, and how long all consoles may be silent in it.

    ``look``: after this much silence a guest whose vCPUs do nothing hangs already.
    """

    deadline: float
    silence: float
    look: float = math.inf


# At 0 GiB on TCG: (deadline, silence), and what each GiB of guest memory adds to both. A whole 8 GiB boot
# takes 5 to 10 s on an idle host; the room is for a host with other work, not for the guest. Acceptance of
# all memory happens in silence: before the first byte (firmware without lazy acceptance), in STUB or
# LOADER (on leaving boot services), or in EARLY_KERNEL (accept_memory=eager).
_FIRMWARE = (60.0, 40.0)
_KERNEL = (90.0, 40.0)
_BASE = {
    Phase.LAUNCH: (30.0, 30.0),
    Phase.FIRMWARE: _FIRMWARE,
    Phase.SEC: _FIRMWARE,
    Phase.PEI: _FIRMWARE,
    Phase.DXE: _FIRMWARE,
    Phase.BDS: _FIRMWARE,
    Phase.LOADER: (60.0, 40.0),
    Phase.STUB: (60.0, 40.0),
    Phase.DECOMPRESSOR: _KERNEL,
    Phase.EARLY_KERNEL: _KERNEL,
    Phase.KERNEL: _KERNEL,
    Phase.INIT: (60.0, 40.0),
    Phase.ACTIONS: (240.0, 180.0),
    Phase.DONE: (20.0, 20.0),
}
_DEBIAN = {**_BASE, Phase.INIT: (180.0, 120.0), Phase.DONE: (90.0, 60.0)}
"""A whole system starts and stops many services, and is talked to in between."""
NORMAL = {
    Phase.LAUNCH: 1.0,
    Phase.FIRMWARE: 4.0,
    Phase.SEC: 1.5,
    Phase.PEI: 1.5,
    Phase.DXE: 2.0,
    Phase.BDS: 3.0,
    Phase.LOADER: 5.0,
    Phase.STUB: 2.0,
    Phase.DECOMPRESSOR: 1.0,
    Phase.EARLY_KERNEL: 3.0,
    Phase.KERNEL: 4.0,
    Phase.INIT: 4.0,
    Phase.DONE: 2.0,
}
"""Seconds that a phase lasts at 0 GiB on TCG, rounded up; measured on two processors with other work. Actions
take as long as they take, and a whole system waits for its services."""
_NORMAL_PER_GIB = 0.2
_TIMES, _MORE = 3.0, 2.0
"""A silent guest hangs after three times the normal time and 5 s: two looks, of 3 s in all, begin before."""
_WAITING = {Phase.INIT, Phase.DONE}
"""Phases in which a whole system waits, for its services and for whoever talks to it."""
_PER_GIB = 1.5
_PER_GIB_READ = 150.0
"""GRUB 2.12 reads 1088 MiB in 90 s on two busy processors, without a word."""
_READING = frozenset(Phase) - {Phase.LAUNCH, Phase.INIT, Phase.ACTIONS, Phase.DONE}
"""A loader reads, or the firmware does (QEMU's -kernel); the kernel unpacks what was read."""
_PER_SHARER = 0.2
"""42 vCPUs on two processors calibrate for 99 s: each further vCPU of a processor adds a fifth."""
_KVM = 0.5
"""KVM's share of TCG's time: it runs much faster, but page state changes go through the host's kernel."""


def processor_seconds(limits: Mapping[Phase, Limit]) -> float:
    """Return the processor time that no boot within its limits takes, however many threads QEMU has.

    A guest may live twice, and a limit be given once more: whoever reaches this has nobody who watches it.
    """
    return 4 * len(os.sched_getaffinity(0)) * sum(limit.deadline for limit in limits.values())


def limits_of(spec: MachineSpec, factor: float = 1.0, *, debian: bool = False) -> dict[Phase, Limit]:
    """Return the limits of a machine's boot on this host, times ``factor``."""
    first = [drive.path for drive in spec.drives[:1]] if spec.kernel is None and not debian else []
    files = [path for path in (spec.kernel, spec.initrd, *first) if path is not None and path.is_file()]
    read = sum(min(path.stat().st_size, path.stat().st_blocks * 512) for path in files)
    share = spec.vcpus / len(os.sched_getaffinity(0))
    return deadlines(
        spec.accel, spec.memory_mib, factor, debian=debian, read_mib=read / (1 << 20), share=share
    )


def deadlines(
    accel: str,
    memory_mib: int,
    factor: float = 1.0,
    *,
    debian: bool = False,
    read_mib: float = 0.0,
    share: float = 1.0,
) -> dict[Phase, Limit]:
    """Return each phase's limits for an accelerator (QEMU's word) and a memory size, times ``factor``.

    ``read_mib``: what loader and kernel read before the guest's first program runs, in MiB, mostly the
    initramfs. ``share``: how many vCPUs share one processor of the host, 1 or more.
    """
    scale = factor * (_KVM if accel.partition(",")[0] == "kvm" else 1.0)
    scale *= 1.0 + _PER_SHARER * (max(share, 1.0) - 1.0)
    extra = _PER_GIB * memory_mib / 1024
    reading = _PER_GIB_READ * read_mib / 1024
    found = {}
    for phase, seconds in (_DEBIAN if debian else _BASE).items():
        normal = math.inf if debian and phase in _WAITING else NORMAL.get(phase, math.inf)
        more = extra + (reading if phase in _READING else 0.0)
        usual = normal + _NORMAL_PER_GIB * memory_mib / 1024
        look = _TIMES * usual + _MORE + more - extra
        found[phase] = Limit(*(each * scale for each in (seconds[0] + more, seconds[1] + more, look)))
    return found
