# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where QEMU's q35 machine puts the configured RAM (QEMU ``hw/i386/pc_q35.c``, ``pc.c``), AMD CPU models."""

from __future__ import annotations

from harness.evidence.intervals import IntervalSet

MIB = 1 << 20
GIB = 1 << 30
PAGE = 4096
FOUR_GIB = 4 * GIB
LEGACY_HOLE = IntervalSet.span(0xA0000, 0x100000)
"""VGA window and option ROMs: RAM lies behind it, but no map offers it (UEFI and e820 leave it out)."""

_LOWMEM = 0xB000_0000
_LOWMEM_WHEN_SPLIT = 0x8000_0000
_HYPERTRANSPORT = 0xFD_0000_0000
_ONE_TIB = 1 << 40
_PCI_HOLE64 = 32 * GIB


def configured_ram(memory_mib: int) -> IntervalSet:
    """RAM ranges for ``-m memory_mib`` MiB: all below 4 GiB up to 2815 MiB, else 2 GiB there, the rest from 4 GiB.

    Where RAM and the 64-bit PCI window would reach AMD's HyperTransport range, the high part starts at 1 TiB.
    """
    total = memory_mib * MIB
    if total < _LOWMEM:
        return IntervalSet.span(0, total)
    high = total - _LOWMEM_WHEN_SPLIT
    base = FOUR_GIB if FOUR_GIB + high + _PCI_HOLE64 <= _HYPERTRANSPORT else _ONE_TIB
    return IntervalSet.of([(0, _LOWMEM_WHEN_SPLIT), (base, base + high)])


def high_ram(memory_mib: int) -> IntervalSet:
    """Give the RAM at 4 GiB and above: the only RAM that firmware may leave unaccepted."""
    return configured_ram(memory_mib).from_address(FOUR_GIB)
