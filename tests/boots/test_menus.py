# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Menus of real loaders and the real UEFI shell on the serial console."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

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
from harness.boot.running_machine import RunningMachine, running_machine
from harness.evidence.memory_map import MemoryDescriptor, ranges_of
from harness.evidence.record import EndingKind
from harness.evidence.uefi_shell import parse_handles, parse_shell_memmap
from harness.intervals import IntervalSet

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evidence.evidence import Evidence
    from harness.machine.spec import MachineSpec
    from harness.pytest_plugin.own.ladder import BootFactory

pytestmark = pytest.mark.qemu

SECOND = "menu.entry=second"


@pytest.mark.cell(memory="2G")
@pytest.mark.parametrize(
    ("loader", "platform", "script", "added"),
    [
        ("grub-2.06-bookworm-menu", "plain", grub_pick(1), SECOND),
        ("grub-2.12-menu", "snp-emulated", grub_edit("edited=1"), "edited=1"),
        ("systemd-boot-257-menu", "snp-emulated", systemd_boot_pick(0), SECOND),
        ("systemd-boot-257-menu", "plain", systemd_boot_edit("edited=1"), "edited=1"),
    ],
)
def test_real_menus(boot: BootFactory, script: Script, added: str) -> None:
    done = boot(talk=Menu(script))
    assert done.record.ending.kind is EndingKind.COMPLETED, done.record.ending
    assert added in done.evidence.guest.cmdline.split()


@pytest.mark.cell(kernel="efi-probe-lookup", memory="8G", platform="snp-emulated")
def test_shell_and_probe_see_the_same_memory(evidence: Evidence, spec: MachineSpec, tmp_path: Path) -> None:
    """Neither the shell nor the probe ask for unaccepted memory, so both see all of it."""
    bare = replace(spec, kernel=None, initrd=None, cmdline="")
    with running_machine(bare, tmp_path / "shell", RunningMachine) as machine:
        expect(machine.serial, SHELL_PROMPT)
        by_shell = parse_shell_memmap(ask_shell(machine.serial, "memmap"))
        handles = parse_handles(ask_shell(machine.serial, "dh"))
        assert any({"LoadedImage", "ShellParameters"} <= protocols for protocols in handles.values())
    by_probe = evidence.probe.start.entries

    def memory(entries: tuple[MemoryDescriptor, ...]) -> IntervalSet:
        return IntervalSet.of((entry.start, entry.end) for entry in entries) & evidence.ram

    assert memory(by_shell.entries) == memory(by_probe)
    unaccepted = ranges_of(by_shell.entries, "Unaccepted")
    assert unaccepted == ranges_of(by_probe, "Unaccepted")
    assert unaccepted.size == 6 << 30
