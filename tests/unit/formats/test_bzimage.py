# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The variant of a kernel without EFI stub: which bytes differ, and which traits."""

from __future__ import annotations

import struct

import pytest

from harness.artifacts.kernel.traits import read_kernel_traits
from harness.errors import HarnessError
from harness.formats.bzimage import without_efi_stub

CONFIG = "CONFIG_EFI_STUB=y\n"


def bzimage(protocol: int = 0x20F) -> bytes:
    image = bytearray(b"\xaa" * 0x1000)
    image[:2] = b"MZ"
    struct.pack_into("<I", image, 0x3C, 0x40)
    image[0x40:0x44] = b"PE\0\0"
    struct.pack_into("<I", image, 0x1F4, 1)
    image[0x1F1], image[0x202:0x206] = 4, b"HdrS"
    struct.pack_into("<H", image, 0x206, protocol)
    struct.pack_into("<H", image, 0x20E, 0)
    struct.pack_into("<H", image, 0x236, 0x7F)
    struct.pack_into("<I", image, 0x264, 0xD98280)
    return bytes(image)


def test_only_the_ways_into_the_stub_are_cleared() -> None:
    image, cleared = bzimage(), without_efi_stub(bzimage())
    before, after = read_kernel_traits(image, CONFIG), read_kernel_traits(cleared, CONFIG)
    assert (before.efi_stub, before.handover) == (True, True)
    assert (after.efi_stub, after.handover) == (False, False)
    assert after.sources["efi_stub"].endswith("no PE header")
    assert cleared[:0x1F1] == bytes(0x1F1)
    assert struct.unpack_from("<H", cleared, 0x236) == (0x73,)
    assert cleared[0x264:0x268] == bytes(4)
    same = [(0x1F1, 0x236), (0x238, 0x264), (0x268, len(image))]
    assert all(image[start:end] == cleared[start:end] for start, end in same)
    assert without_efi_stub(bzimage()) == cleared


def test_what_has_no_such_fields() -> None:
    with pytest.raises(HarnessError, match="no bzImage"):
        without_efi_stub(bytes(0x1000))
    with pytest.raises(HarnessError, match="boot protocol 0x20b is older than 0x20c"):
        without_efi_stub(bzimage(0x20B))
