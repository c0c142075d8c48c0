# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Linux with virtio devices as an SNP guest: with iommu_platform=on they work, without it they cannot."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.boot.cell_machine import done_line, machine_spec
from harness.boot.driver import boot
from harness.evidence.actions import ActionReport, parse_actions
from harness.evidence.record import EndingKind
from harness.matrix.cell import Cell
from harness.platforms.host import Host
from tests.support.own_action import LOAD_MODULES, with_action

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.evidence.record import BootRecord

pytestmark = pytest.mark.qemu

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng")

SECTOR = 512

ACTION = (
    f"{LOAD_MODULES}\n"
    r"""
b=/bin/busybox
$b sleep 1
read=$($b head -c 19 /dev/vda)
echo "written by the guest" | $b dd of=/dev/vda seek=1 conv=sync,fsync bs=512 2> /dev/null
random=$($b head -c 8 /dev/hwrng | $b od -An -tx8)
for n in 0 1; do $b ip link set eth$n up; done
for try in 1 2 3 4 5 6 7 8 9 10; do
    received=$($b cat /sys/class/net/eth1/statistics/rx_packets)
    [ "${received:-0}" -gt 0 ] && break
    $b arping -c 1 -w 1 -I eth0 192.0.2.1 > /dev/null
done
echo "\"read\":\"$read\",\"random\":\"${random# }\",\"received\":${received:-0}"
"""
)


def run(
    kernel: str, ingredients: Ingredients, folder: Path, device_properties: str = ""
) -> tuple[BootRecord, Path]:
    """Boot with two network cards on one wire, a disk and an entropy source; give the record and the disk."""
    cell = Cell("debian-2025.02", kernel, "direct", 2048, "snp-emulated", action="virtio")
    disk = folder / "disk.raw"
    disk.write_bytes(b"written by the host".ljust(4 * SECTOR, b"\0"))
    spec = machine_spec(replace(cell, action=""), ingredients, Host())  # no catalog has the action
    spec = replace(spec, cmdline=f"{spec.cmdline} harness.actions={cell.action}")
    extra = ["-drive", f"if=none,id=disk,format=raw,file={disk}"]
    for number in (0, 1):
        extra += ["-netdev", f"hubport,id=net{number},hubid=0"]
        extra += ["-device", f"virtio-net-pci,netdev=net{number},romfile={device_properties}"]
    extra += [
        "-device",
        f"virtio-blk-pci,drive=disk{device_properties}",
        "-device",
        f"virtio-rng-pci{device_properties}",
    ]
    initrd = with_action("virtio", ACTION, ingredients, kernel, MODULES, folder / "initrd")
    spec = replace(spec, initrd=initrd, extra=tuple(extra))
    record = boot(spec, folder / "record", cell_id=cell.id, platform=cell.platform, done=done_line(cell))
    return record, disk


def report(record: BootRecord) -> ActionReport:
    assert record.ending.kind is EndingKind.COMPLETED
    (found,) = parse_actions(record.whole_text)
    return found


@pytest.mark.parametrize("kernel", ["debian-6.1", "debian-6.12"])
def test_virtio_works(kernel: str, ingredients: Ingredients, tmp_path: Path) -> None:
    """QEMU itself turns iommu_platform on for confidential guests; no device strays into private memory."""
    record, disk = run(kernel, ingredients, tmp_path)
    seen = report(record)
    assert seen.errors == ""
    assert seen.result["read"] == "written by the host"
    assert disk.read_bytes()[SECTOR:].startswith(b"written by the guest\n")
    assert re.fullmatch("[0-9a-f]{16}", seen.result["random"])
    assert seen.result["received"] > 0
    assert (record.counters["dma-private-reads"], record.counters["dma-private-writes"]) == (0, 0)


def test_virtio_without_iommu_platform_fails(ingredients: Ingredients, tmp_path: Path) -> None:
    """Linux refuses what could not reach its memory."""
    record, disk = run("debian-6.12", ingredients, tmp_path, ",iommu_platform=off")
    seen = report(record)
    assert (seen.result["read"], seen.result["random"], seen.result["received"]) == ("", "", 0)
    assert not disk.read_bytes()[SECTOR:].strip(b"\0")
    for driver in ("virtio_blk", "virtio_net", "virtio_rng"):
        refusal = rf"{driver} virtio\d: device must provide VIRTIO_F_ACCESS_PLATFORM"
        assert re.search(refusal, record.whole_text), driver
