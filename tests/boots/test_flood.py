# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A real guest that writes to its console whatever comes to its mind: the record stays small and whole."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.evidence.actions import parse_actions
from harness.evidence.record import EndingKind
from harness.formats.cpio import CpioEntry, cpio_archive
from harness.machine import console
from harness.machine.machine import Machine
from harness.matrix.cell import Cell

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.machine.spec import MachineSpec
    from harness.pytest_plugin.own.ladder import BootFactory

pytestmark = pytest.mark.qemu

CAP, TAIL = 96 << 10, 16 << 10
KIB = 128
ACTION = rf"""
b=/bin/busybox
# Random bytes, so that there is everything: escape sequences, invalid UTF-8, half lines, NULs.
$b head -c {KIB << 10} /dev/urandom > /dev/console
printf '\n\033]0;a title\007\033[2J\n' > /dev/console
echo '"said":{KIB}'
"""


@pytest.fixture
def cell() -> Cell:
    """Return a small cell; its action, which no catalog has, is in the machine alone."""
    return Cell("debian-2025.02", "debian-6.12", "direct", 512, "plain")


@pytest.fixture
def spec(spec: MachineSpec, ingredients: Ingredients, tmp_path: Path) -> MachineSpec:
    """Return the cell's machine with the action in its initramfs."""
    entry = CpioEntry("actions/flood", stat.S_IFREG | 0o755, ACTION.encode())
    initrd = tmp_path / "initrd"
    initrd.write_bytes(ingredients.initrd.read_bytes() + cpio_archive([entry]))
    return replace(spec, initrd=initrd, cmdline=f"{spec.cmdline} harness.actions=flood")


def test_a_guest_that_floods_its_console(boot: BootFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "TAIL_BYTES", TAIL)
    monkeypatch.setattr(Machine.__init__, "__kwdefaults__", {"console_cap": CAP})
    record = boot().record
    assert record.ending.kind is EndingKind.COMPLETED
    size = record.consoles["serial"]
    assert size.bytes > KIB << 10
    assert size.dropped == size.bytes - CAP - TAIL
    assert (record.path / "serial.log").stat().st_size < CAP + TAIL + 100
    assert f"serial.log lacks {size.dropped} of the {size.bytes} bytes" in record.ending.detail
    assert record.guest is not None  # its document came before the flood
    assert parse_actions(record.later_text)[-1].result == {"said": KIB}
    assert not {"\x1b", "\x07", "\0", "\x9b"} & set(record.whole_text)
