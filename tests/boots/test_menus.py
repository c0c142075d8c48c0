# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Menus of real loaders and the real UEFI shell on the serial console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.boot.cell_machine import machine_spec
from harness.boot.driver import boot
from harness.boot.menus import (
    SHELL_PROMPT,
    Menu,
    Script,
    ask_shell,
    expect,
    grub_edit,
    grub_pick,
    systemd_boot_edit,
    systemd_boot_pick,
)
from harness.evidence.efi_probe import parse_probe
from harness.evidence.memory_map import MemoryDescriptor, ranges_of
from harness.evidence.record import EndingKind
from harness.evidence.uefi_shell import parse_handles, parse_shell_memmap
from harness.intervals import IntervalSet
from harness.machine.machine import Machine
from harness.machine.memory_layout import configured_ram
from harness.machine.serial import Serial
from harness.machine.spec import MachineSpec
from harness.matrix.cell import Cell
from harness.platforms.host import Host
from harness.platforms.registry import platform_named

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients


FIRMWARE = "debian-2025.02"


SECOND = "menu.entry=second"


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("loader", "platform", "script", "added"),
    [
        ("grub-2.06-bookworm-menu", "plain", grub_pick(1), SECOND),
        ("grub-2.12-menu", "snp-emulated", grub_edit("edited=1"), "edited=1"),
        ("systemd-boot-257-menu", "snp-emulated", systemd_boot_pick(0), SECOND),
        ("systemd-boot-257-menu", "plain", systemd_boot_edit("edited=1"), "edited=1"),
    ],
)
def test_real_menus(
    ingredients: Ingredients, tmp_path: Path, loader: str, platform: str, script: Script, added: str
) -> None:
    cell = Cell(FIRMWARE, "debian-6.12", loader, 2048, platform)
    spec = machine_spec(cell, ingredients, Host())
    record = boot(spec, tmp_path / "r", cell_id=cell.id, platform=platform, talk=Menu(script))
    assert record.ending.kind is EndingKind.COMPLETED, record.ending
    guest = cast("dict[str, Any]", record.guest)
    assert added in guest["cmdline"].split()


@pytest.mark.qemu
def test_shell_and_probe_see_the_same_memory(ingredients: Ingredients, tmp_path: Path) -> None:
    """Neither the shell nor the probe ask for unaccepted memory, so both see all of it."""
    bare = MachineSpec(
        qemu=ingredients.qemu, firmware=ingredients.firmware(FIRMWARE).path, memory_mib=8192, accel="tcg"
    )
    host = Host()
    with Machine(platform_named("snp-emulated").configure(bare, host), tmp_path) as machine:
        serial = Serial(machine, timeout=60.0)
        machine.cont()
        expect(serial, SHELL_PROMPT)
        by_shell = parse_shell_memmap(ask_shell(serial, "memmap"))
        handles = parse_handles(ask_shell(serial, "dh"))
        assert any({"LoadedImage", "ShellParameters"} <= protocols for protocols in handles.values())
    cell = Cell(FIRMWARE, "efi-probe-lookup", "direct", 8192, "snp-emulated")
    spec = machine_spec(cell, ingredients, host)
    record = boot(spec, tmp_path / "r", cell_id=cell.id, platform=cell.platform, survives_faults=True)
    by_probe = parse_probe(cast("dict[str, Any]", record.guest)).start.entries
    ram = configured_ram(8192)

    def memory(entries: tuple[MemoryDescriptor, ...]) -> IntervalSet:
        return IntervalSet.of((entry.start, entry.end) for entry in entries) & ram

    assert memory(by_shell.entries) == memory(by_probe)
    unaccepted = ranges_of(by_shell.entries, "Unaccepted")
    assert unaccepted == ranges_of(by_probe, "Unaccepted")
    assert unaccepted.size == 6 << 30
