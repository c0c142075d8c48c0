# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A real guest that writes to its console whatever comes to its mind: the record stays small and whole."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.boot.cell_machine import done_line, machine_spec
from harness.boot.driver import boot
from harness.evidence.actions import parse_actions
from harness.evidence.record import EndingKind
from harness.formats.cpio import CpioEntry, cpio_archive
from harness.machine import console
from harness.machine.machine import Machine
from harness.matrix.cell import Cell
from harness.platforms.host import Host

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

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


def test_a_guest_that_floods_its_console(
    ingredients: Ingredients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "TAIL_BYTES", TAIL)
    monkeypatch.setattr(Machine.__init__, "__kwdefaults__", {"console_cap": CAP})
    cell = Cell("debian-2025.02", "debian-6.12", "direct", 512, "plain", action="flood")
    spec = machine_spec(cell, ingredients, Host())
    entry = CpioEntry("actions/flood", stat.S_IFREG | 0o755, ACTION.encode())
    initrd = tmp_path / "initrd"
    initrd.write_bytes(ingredients.initrd.read_bytes() + cpio_archive([entry]))
    spec = replace(spec, initrd=initrd)
    record = boot(spec, tmp_path / "record", cell_id=cell.id, platform=cell.platform, done=done_line(cell))
    assert record.ending.kind is EndingKind.COMPLETED
    size = record.consoles["serial"]
    assert size.bytes > KIB << 10
    assert size.dropped == size.bytes - CAP - TAIL
    assert (record.path / "serial.log").stat().st_size < CAP + TAIL + 100
    assert f"serial.log lacks {size.dropped} of the {size.bytes} bytes" in record.ending.detail
    assert record.guest is not None  # its document came before the flood
    assert parse_actions(record.later_text)[-1].result == {"said": KIB}
    assert not {"\x1b", "\x07", "\0", "\x9b"} & set(record.whole_text)
