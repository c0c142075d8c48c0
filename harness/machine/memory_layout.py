# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where QEMU's q35 machine puts the configured RAM (QEMU ``hw/i386/pc_q35.c``, ``pc.c``), AMD CPU models."""

from __future__ import annotations

from harness.intervals import IntervalSet

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
_AROUND = _PCI_HOLE64 + 2 * GIB
"""Below the highest address that is not memory: 2 GiB below 4 GiB, and the 64-bit PCI hole."""
_DEFAULT_BITS = 40
"""Physical address bits of QEMU's CPU models that do not say: 1 TiB."""


def configured_ram(memory_mib: int) -> IntervalSet:
    """Return the RAM ranges for ``-m memory_mib`` (MiB).

    Up to 2815 MiB all RAM is below 4 GiB. From 2816 MiB on, 2 GiB are, and the rest starts at 4 GiB, or at 1
    TiB where it and the 64-bit PCI window would otherwise reach AMD's HyperTransport range.
    """
    total = memory_mib * MIB
    if total < _LOWMEM:
        return IntervalSet.span(0, total)
    high = total - _LOWMEM_WHEN_SPLIT
    base = FOUR_GIB if FOUR_GIB + high + _PCI_HOLE64 <= _HYPERTRANSPORT else _ONE_TIB
    return IntervalSet.of([(0, _LOWMEM_WHEN_SPLIT), (base, base + high)])


def high_ram(memory_mib: int) -> IntervalSet:
    """Return the RAM at 4 GiB and above: the only RAM that firmware may leave unaccepted."""
    return configured_ram(memory_mib).from_address(FOUR_GIB)


def cpu_with_addresses(cpu: str, memory_mib: int) -> str:
    """Return ``-cpu`` with the physical address bits that the memory needs, when CPU models have fewer."""
    top = memory_mib * MIB + _AROUND
    if top > _HYPERTRANSPORT:
        top = _ONE_TIB + memory_mib * MIB + _AROUND - FOUR_GIB
    bits = (top - 1).bit_length()
    return cpu if bits <= _DEFAULT_BITS or "phys-bits" in cpu else f"{cpu},phys-bits={bits}"
