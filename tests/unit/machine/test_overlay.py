# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Overlays: the guest's writes go there and the base stays as it was."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.formats.qcow2 import overlay_bytes, virtual_size
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
    base, image = tmp_path / "base", tmp_path / "image.qcow2"
    base.write_bytes(bytes(1024))
    image.write_bytes(overlay_bytes(str(base), 3 << 20))
    own, fixed = Drive(path=image, format="qcow2"), Drive(path=base, read_only=True)
    given = on_overlays([own, fixed, Drive(path=base, boot_index=1)], tmp_path)
    assert given == (
        Drive(path=tmp_path / "disk0.qcow2", format="qcow2"),
        fixed,
        Drive(path=tmp_path / "disk2.qcow2", format="qcow2", boot_index=1),
    )
    over = given[0].path.read_bytes()
    at, length = struct.unpack_from(">QI", over, 8)
    assert over[at : at + length] == str(image).encode()
    assert b"qcow2" in over[104:at]
    assert virtual_size(over) == 3 << 20


def test_an_image_that_is_none(tmp_path: Path) -> None:
    image = tmp_path / "image.qcow2"
    image.write_bytes(b"QFI\xfb")
    with pytest.raises(HarnessError, match="no qcow2 image"):
        on_overlays([Drive(path=image, format="qcow2")], tmp_path)
    assert virtual_size(b"") is None
