# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Menus of real loaders and the real UEFI shell on the serial console; and what is made of their output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pexpect
import pytest

from harness.boot.driver import boot
from harness.boot.menus import (
    Menu,
    Script,
    Step,
    expect,
    grub_edit,
    grub_pick,
    systemd_boot_edit,
    systemd_boot_pick,
)
from harness.boot.phases import Limit, Phase
from harness.errors import HarnessError
from harness.evidence.memory_map import MemoryDescriptor, ranges_of
from harness.evidence.problems import EvidenceError
from harness.evidence.record import EndingKind
from harness.evidence.uefi_shell import parse_handles, parse_shell_memmap
from harness.intervals import IntervalSet
from harness.machine.serial import MOST_AHEAD, Serial, split_sequences
from harness.machine.spec import MachineSpec
from tests.support.data import DATA, FAKE_QEMU

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.machine.machine import Machine


FIRMWARE = "debian-2025.02"
SECOND = "menu.entry=second"


class Typed:
    """A machine without QEMU: a console that is fed by hand, and what was typed to it."""

    def __init__(self) -> None:
        self.ended: int | None = None
        self.keys = b""
        self.feed: Callable[[bytes, float], None] = lambda _data, _t: None

    def watch(self, console: str, watcher: Callable[[bytes, float], None]) -> None:
        assert console == "serial"
        self.feed = watcher

    def serial_write(self, data: bytes) -> None:
        self.keys += data


def typed(seconds: float = 0.1) -> tuple[Typed, Serial]:
    machine = Typed()
    return machine, Serial(cast("Machine", machine), timeout=seconds)


def test_terminal_sequences_are_not_seen() -> None:
    assert split_sequences(b"a\x1b[1;37mb\x1b7c\x1b[2") == (b"abc", b"\x1b[2")
    machine, serial = typed()
    for piece in (b"Sh\x1b[0", b"1mell", b"> \x1b", b"[5Cx\xc3", b"\xa4"):
        machine.feed(piece, 0.0)
    assert serial.expect("x.") == 0
    assert (serial.before, serial.after) == ("Shell> ", "xä")


def test_a_console_that_stays_silent_or_ends() -> None:
    machine, serial = typed()
    machine.feed(b"Boot Failed\r\n", 0.0)
    with pytest.raises(HarnessError, match=r"/Shell/: not within 0\.1 s; it said: Boot Failed"):
        expect(serial, "Shell")
    machine.ended = 0
    with pytest.raises(pexpect.EOF):
        serial.read_nonblocking(1, 1)
    with pytest.raises(HarnessError, match="QEMU ended"):
        expect(serial, "Shell")


def test_a_console_that_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads once a menu is done, and a pattern may never come: neither costs memory without end."""
    machine, serial = typed()
    for number in range(40):
        machine.feed(b"%02d" % number * (MOST_AHEAD // 32), 0.0)
    assert len(serial._ready) == MOST_AHEAD
    assert serial._ready.endswith(b"39")
    machine.feed(b"\x1b[" + b"0" * 5000, 0.0)
    assert len(serial._pending) < 100

    def again(_size: int = 0, _timeout: float | None = None) -> str:
        machine.feed(b"x" * 1000, 0.0)
        return read(1000, 0)

    read = serial.read_nonblocking
    monkeypatch.setattr(serial, "read_nonblocking", again)
    serial.timeout = 60
    with pytest.raises(HarnessError, match=r"never showed /Shell/: not in 4 MiB; it said: "):
        expect(serial, "Shell")
    serial.wait_for("x+")  # another question may follow


@pytest.mark.parametrize(
    ("name", "script", "keys"),
    [
        ("grub-2.06", grub_pick(1), b"\x1b[B\r"),
        ("grub-2.12", grub_pick(0), b"\r"),
        ("grub-2.12-editor", grub_edit("a=b"), b"e\x0e\x0e\x05 a=b\x18"),
        ("systemd-boot-257", systemd_boot_pick(2), b"\x1b[A" * 16 + b"\x1b[B\x1b[B\r"),
        ("systemd-boot-257-editor", systemd_boot_edit("a=b"), b"ea=b \r"),
    ],
)
def test_recorded_menus(name: str, script: Script, keys: bytes) -> None:
    machine = Typed()
    menu = Menu(script, seconds=1.0)
    menu.attach(cast("Machine", machine))
    machine.feed((DATA / "consoles" / f"{name}.log").read_bytes(), 0.0)
    menu.run(cast("Machine", machine))
    assert machine.keys == keys


def test_recorded_memory_map() -> None:
    text = (DATA / "consoles/shell-memmap.log").read_text()
    seen = parse_shell_memmap(text)
    assert seen.total_mib == 8191
    assert seen.entries[0] == MemoryDescriptor(
        "Conventional", frozenset({"UC", "WC", "WT", "WB"}), 0, 0xA0000, seen.entries[0].line
    )
    assert ranges_of(seen.entries, "Unaccepted") == IntervalSet.span(0x1_0000_0000, 0x2_8000_0000)
    assert seen.pages["Unaccepted"] == 0x180000
    by_number = text.replace("Unaccepted 0", "0000000F   0").replace("Unaccepted:", "0000000F  :")
    assert ranges_of(parse_shell_memmap(by_number).entries, "Unaccepted").size == 6 << 30


def test_recorded_handles() -> None:
    handles = parse_handles((DATA / "consoles/shell-dh.log").read_text())
    assert {"LoadedImage", "ShellParameters", "Shell"} <= handles[0xB4]
    with pytest.raises(EvidenceError, match="listed no handle"):
        parse_handles("dh: unknown")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Total Memory", "Total", "no memory map"),
        (" 0000000000180000 ", " 0000000000180001 ", "disagrees with itself"),
        (
            "1,572,864 Pages",
            "1,572,865 Pages",
            "counts 1572865 pages of Unaccepted, its entries have 1572864",
        ),
    ],
)
def test_memory_map_that_contradicts_itself(old: str, new: str, said: str) -> None:
    text = (DATA / "consoles/shell-memmap.log").read_text()
    assert old in text
    with pytest.raises(EvidenceError, match=said):
        parse_shell_memmap(text.replace(old, new))


def test_a_menu_that_never_comes_ends_the_boot(tmp_path: Path) -> None:
    firmware = tmp_path / "fw.fd"
    firmware.write_bytes(b"firmware")
    steps = json.dumps([{"serial": "GRUB loading\r\n"}])
    spec = MachineSpec(qemu=FAKE_QEMU, firmware=firmware, memory_mib=512, accel="tcg", cmdline=steps)
    quick = dict.fromkeys(Phase, Limit(deadline=60.0, silence=40.0))
    menu = Menu((Step("Press a key", "e"),), seconds=0.2)
    record = boot(spec, tmp_path / "r", cell_id="c", platform="plain", deadlines=quick, talk=menu)
    assert record.ending.kind is EndingKind.UNREACHABLE
    assert "the console never showed /Press a key/" in record.ending.detail
