# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Traits are read from the artifacts, with their source, and damaged artifacts are refused."""

from __future__ import annotations

import lzma
import struct
from uuid import UUID

import pytest

from harness.artifacts.firmware_traits import (
    MEMORY_ACCEPTANCE_PROTOCOL,
    SEV_HASH_TABLE,
    SEV_METADATA,
    TABLE_FOOTER,
    read_firmware_traits,
    table_entries,
)
from harness.artifacts.traits import read_kernel_traits
from harness.errors import HarnessError

CONFIG = """#
# Linux/x86 6.12.1 Kernel Configuration
#
CONFIG_AMD_MEM_ENCRYPT=y
# CONFIG_NUMA is not set
CONFIG_UNACCEPTED_MEMORY=y
CONFIG_EFI_STUB=y
CONFIG_SEV_GUEST=m
"""


def bzimage(*, protocol: int = 0x20F, flags: int = 0x7F, pe: bool = True) -> bytes:
    image = bytearray(0x1000)
    if pe:
        image[:2] = b"MZ"
        struct.pack_into("<I", image, 0x3C, 0x800)
        image[0x800:0x804] = b"PE\0\0"
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, protocol)
    struct.pack_into("<H", image, 0x20E, 0x700)
    struct.pack_into("<H", image, 0x236, flags)
    text = b"6.12.1-test (someone@example.org) #1 SMP\0"
    image[0x900 : 0x900 + len(text)] = text
    return bytes(image)


def test_kernel() -> None:
    traits = read_kernel_traits(bzimage(), CONFIG)
    assert traits.version == "6.12.1-test"
    assert traits.protocol == 0x20F
    assert traits.snp_guest
    assert traits.unaccepted_memory
    assert traits.efi_stub
    assert traits.handover
    assert traits.sources["snp_guest"] == "config: CONFIG_AMD_MEM_ENCRYPT=y, CONFIG_SEV_GUEST=m"


def test_kernel_without() -> None:
    config = "CONFIG_AMD_MEM_ENCRYPT=y\n# CONFIG_UNACCEPTED_MEMORY is not set\nCONFIG_EFI_STUB=y\n"
    traits = read_kernel_traits(bzimage(flags=0, pe=False), config)
    assert not traits.snp_guest
    assert not traits.unaccepted_memory
    assert not traits.efi_stub
    assert not traits.handover
    assert "CONFIG_SEV_GUEST is not set" in traits.sources["snp_guest"]


def test_kernel_before_xloadflags() -> None:
    assert not read_kernel_traits(bzimage(protocol=0x20B), CONFIG).handover


def test_kernel_bad_input() -> None:
    with pytest.raises(HarnessError, match="HdrS"):
        read_kernel_traits(b"\x7fELF" + bytes(0x1000), CONFIG)
    with pytest.raises(HarnessError, match="holds no option"):
        read_kernel_traits(bzimage(), "")


ALL_KINDS = (1, 2, 3, 4)


def firmware(kinds: tuple[int, ...] | None = ALL_KINDS, *, acceptance: bool = True) -> bytes:
    """Build an image of 64 KiB with the table, metadata and one compressed section where OVMF has them."""
    image = bytearray(0x10000)
    table = b""
    if kinds is not None:
        metadata = struct.pack("<4sIII", b"ASEV", 16 + 12 * len(kinds), 1, len(kinds))
        for kind in kinds:
            metadata += struct.pack("<III", 0x80_0000 + kind * 0x1000, 0x1000, kind)
        image[0x8000 : 0x8000 + len(metadata)] = metadata
        data = struct.pack("<I", len(image) - 0x8000)
        table += data + struct.pack("<H", len(data) + 18) + SEV_METADATA.bytes_le
    table += bytes(8) + struct.pack("<H", 8 + 18) + SEV_HASH_TABLE.bytes_le
    table += struct.pack("<H", len(table) + 18) + TABLE_FOOTER.bytes_le
    image[-0x20 - len(table) : -0x20] = table
    driver = bytes(100) + (MEMORY_ACCEPTANCE_PROTOCOL.bytes_le if acceptance else b"") + bytes(5000)
    packed = lzma.compress(driver, format=lzma.FORMAT_ALONE)
    section = UUID("ee4e5898-3914-4259-9d6e-dc7bd79403cf").bytes_le
    head = (24 + len(packed)).to_bytes(3, "little") + b"\x02" + section + struct.pack("<HH", 24, 1)
    image[0x1000 : 0x1000 + len(head + packed)] = head + packed
    image[0x6001 : 0x6001 + 16] = section  # as a value in code: no section
    return bytes(image)


def test_firmware() -> None:
    traits = read_firmware_traits(firmware())
    assert traits.snp_capable
    assert traits.memory_acceptance
    assert not traits.kernel_hashes
    assert [section.base for section in traits.sections] == [0x801000, 0x802000, 0x803000, 0x804000]
    assert set(table_entries(firmware())) == {SEV_METADATA, SEV_HASH_TABLE}


def test_firmware_lacks_this_or_that() -> None:
    assert not read_firmware_traits(firmware(None)).snp_capable
    assert not read_firmware_traits(firmware((1, 2))).snp_capable
    assert read_firmware_traits(firmware((1, 2, 3, 0x10))).kernel_hashes
    assert not read_firmware_traits(firmware(acceptance=False)).memory_acceptance
    assert not read_firmware_traits(bytes(4096)).snp_capable
    assert not read_firmware_traits(b"").snp_capable


def test_firmware_damaged() -> None:
    image = firmware()
    with pytest.raises(HarnessError, match="not ASEV version 1"):
        read_firmware_traits(image.replace(b"ASEV", b"AXEV"))
    with pytest.raises(HarnessError, match="compressed part"):
        read_firmware_traits(image[:0x1018] + b"\xff" * 64 + image[0x1058:])
    broken = bytearray(image)
    struct.pack_into("<H", broken, len(image) - 0x20 - 18 - 18, 0xFFFF)
    with pytest.raises(HarnessError, match="GUIDed table is damaged"):
        read_firmware_traits(bytes(broken))
