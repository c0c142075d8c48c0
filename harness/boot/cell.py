# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a cell of the matrix to the machine that boots it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.machine.spec import MachineSpec
from harness.platforms.platform import configure

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients
    from harness.matrix.cell import Cell
    from harness.platforms.host import Host

CMDLINE = "console=ttyS0 earlyprintk=serial efi=debug"
"""``efi=debug`` prints the memory map that the firmware handed over; without ``earlyprintk`` a kernel that
dies early dies silently."""


def machine_spec(cell: Cell, ingredients: Ingredients, host: Host) -> MachineSpec:
    """Resolve the cell's names to files (fetching or building what is new) and choose its platform."""
    spec = MachineSpec(
        qemu=ingredients.qemu,
        firmware=ingredients.firmware(cell.firmware).path,
        kernel=ingredients.kernel(cell.kernel).path,
        initrd=ingredients.initrd,
        cmdline=f"{CMDLINE} {cell.cmdline}".strip(),
        memory_mib=cell.memory_mib,
        vcpus=cell.vcpus,
        accel="tcg",
    )
    return configure(spec, cell.platform, host)
