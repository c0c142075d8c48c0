# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest that reads a disk: the usual initramfs, its kernel's virtio modules and an action that reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bench.measure import Interval
from harness.machine.spec import Drive
from tests.support.own_action import LOAD_MODULES, with_action

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.machine.spec import MachineSpec

MODULES = ("virtio_pci", "virtio_blk")
MIB = 1024
READING = Interval(f"bench: read {MIB}+0 of", "bench: the disk is there")
"""The modules are loaded before. A guest that could not read all of the disk never prints the end."""

ACTION = rf"""
b=/bin/busybox
{LOAD_MODULES}
until [ -b /dev/vda ]; do $b sleep 0.1; done
echo "{READING.begin}" > /dev/kmsg
read=$($b dd if=/dev/vda of=/dev/null bs=1M 2>&1)
echo "bench: read ${{read%% *}} of {MIB} MiB" > /dev/kmsg
"""


def with_disk(spec: MachineSpec, ingredients: Ingredients, kernel: str, folder: Path) -> MachineSpec:
    """Return the machine with a disk of 1 GiB, which its guest reads; the files are put in ``folder``.

    The disk is a hole in a file of the host, so no disk of the host is waited for.
    """
    disk, initrd = folder / "disk.raw", folder / "initrd"
    with disk.open("wb") as file:
        file.truncate(MIB << 20)
    with_action("read-disk", ACTION, ingredients, kernel, MODULES, initrd)
    return replace(
        spec,
        initrd=initrd,
        cmdline=f"{spec.cmdline} harness.actions=read-disk",
        drives=(*spec.drives, Drive(path=disk)),
    )
