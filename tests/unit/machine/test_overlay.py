# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Overlays: the guest's writes go there and the base stays as it was."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.formats.qcow2 import overlay_bytes
from harness.machine.overlay import on_overlays
from harness.machine.spec import Drive

if TYPE_CHECKING:
    from pathlib import Path


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
