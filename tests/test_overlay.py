# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Overlays: the guest's writes go there and the base stays as it was."""

from __future__ import annotations

import json
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.formats.qcow2 import overlay_bytes
from harness.machine.overlay import on_overlays
from harness.machine.spec import Drive

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients


def test_the_header_names_base_and_size() -> None:
    data = overlay_bytes("/base/disk.img", 64 << 20)
    assert struct.unpack_from(">4sI", data) == (b"QFI\xfb", 3)
    at, length = struct.unpack_from(">QI", data, 8)
    assert data[at : at + length] == b"/base/disk.img"
    assert struct.unpack_from(">Q", data, 24) == (64 << 20,)
    with pytest.raises(HarnessError, match="no overlay can be made"):
        overlay_bytes("x" * 1024, 1)


def test_which_drives_get_one(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.write_bytes(bytes(1024))
    own = Drive(path=tmp_path / "own.qcow2", format="qcow2")
    fixed = Drive(path=base, read_only=True)
    given = on_overlays([own, fixed, Drive(path=base, boot_index=1)], tmp_path)
    assert given == (own, fixed, Drive(path=tmp_path / "disk2.qcow2", format="qcow2", boot_index=1))


@pytest.mark.qemu
def test_qemu_reads_the_base_and_writes_the_overlay(ingredients: Ingredients, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.write_bytes(b"b" * (1 << 20))
    (drive,) = on_overlays([Drive(path=base)], tmp_path)
    reader = {"driver": "qcow2", "node-name": "d", "file": {"driver": "file", "filename": str(drive.path)}}
    asked = ("read -P 0x62 0 1M", "write -P 0x67 4k 4k", "read -P 0x67 4k 4k")
    lines: list[dict[str, object]] = [
        {
            "execute": "human-monitor-command",
            "arguments": {"command-line": f'qemu-io d "{line}"'},
        }
        for line in asked
    ]
    commands: list[dict[str, object]] = [
        {"execute": "qmp_capabilities"},
        {"execute": "blockdev-add", "arguments": reader},
        *lines,
        {"execute": "quit"},
    ]
    argv = [str(ingredients.qemu), "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    told = "\n".join(map(json.dumps, commands))
    done = subprocess.run(argv, input=told, capture_output=True, text=True, check=True, timeout=60)
    assert '"error"' not in done.stdout
    assert "Pattern verification failed" not in done.stdout + done.stderr
    assert base.read_bytes() == b"b" * (1 << 20)
    assert drive.path.stat().st_size > 4 << 16
