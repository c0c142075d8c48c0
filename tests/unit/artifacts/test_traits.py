# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Traits are read from the artifacts, with their source, and damaged artifacts are refused."""

from __future__ import annotations

import json
import lzma
import struct
from dataclasses import asdict
from uuid import UUID

import pytest

from harness.artifacts.firmware.traits import (
    BEFORE_EXIT,
    MEMORY_ACCEPTANCE_PROTOCOL,
    SEV_HASH_TABLE,
    SEV_METADATA,
    TABLE_FOOTER,
    FirmwareTraits,
    read_firmware_traits,
    table_entries,
)
from harness.artifacts.traits import KernelTraits, read_kernel_traits
from harness.errors import HarnessError
from harness.formats.firmware_volume import SECURITY_CORE, volume_files
from tests.support.data import DATA
from tests.support.kernel_files import CONFIG, bzimage


def test_kernel() -> None:
    traits = read_kernel_traits(bzimage(), CONFIG)
    assert traits.version == "6.12.1-test"
    assert traits.protocol == 0x20F
    assert traits.technologies == ("snp",)
    assert traits.unaccepted_memory
    assert traits.efi_stub
    assert traits.handover
    assert traits.sources["technologies"] == "config: CONFIG_AMD_MEM_ENCRYPT=y, CONFIG_SEV_GUEST=m"


def test_kernel_without() -> None:
    config = "CONFIG_AMD_MEM_ENCRYPT=y\n# CONFIG_UNACCEPTED_MEMORY is not set\nCONFIG_EFI_STUB=y\n"
    traits = read_kernel_traits(bzimage(flags=0, pe=False), config)
    assert not traits.technologies
    assert not traits.unaccepted_memory
    assert not traits.efi_stub
    assert not traits.handover
    assert "CONFIG_SEV_GUEST is not set" in traits.sources["technologies"]


def test_kernel_before_xloadflags() -> None:
    assert not read_kernel_traits(bzimage(protocol=0x20B), CONFIG).handover


def test_kernel_bad_input() -> None:
    with pytest.raises(HarnessError, match="HdrS"):
        read_kernel_traits(b"\x7fELF" + bytes(0x1000), CONFIG)
    with pytest.raises(HarnessError, match="holds no option"):
        read_kernel_traits(bzimage(), "")
    image = bytearray(bzimage())
    struct.pack_into("<I", image, 0x1F4, (len(image) - 5 * 512) // 16)
    assert read_kernel_traits(bytes(image), CONFIG).version == "6.12.1-test"
    with pytest.raises(HarnessError, match="cut short: it has 4095 bytes, its setup header says 4096"):
        read_kernel_traits(bytes(image[:-1]), CONFIG)
    image[0x900:0x904] = b"6.\x1b["  # what would reach a terminal
    assert not read_kernel_traits(bytes(image), CONFIG).version


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
    assert traits.technologies == ("snp",)
    assert traits.memory_acceptance
    assert not traits.kernel_hashes
    assert [section.base for section in traits.sections] == [0x801000, 0x802000, 0x803000, 0x804000]
    assert set(table_entries(firmware())) == {SEV_METADATA, SEV_HASH_TABLE}


def test_firmware_lacks_this_or_that() -> None:
    assert not read_firmware_traits(firmware(None)).technologies
    assert not read_firmware_traits(firmware((1, 2))).technologies
    assert read_firmware_traits(firmware((1, 2, 3, 0x10))).kernel_hashes
    assert not read_firmware_traits(firmware(acceptance=False)).memory_acceptance
    assert not read_firmware_traits(bytes(4096)).technologies
    assert not read_firmware_traits(b"").technologies


ASSERTION = b"ASSERT %a(%Lu): %a\n"
OTHER = UUID("11111111-2222-3333-4444-555555555555")
APIC, TO_CR3 = b"\0\0\xe0\xfe", b"\x0f\x22\xd8"


def ffs(name: UUID, content: bytes, *, large: bool = False, kind: int = 7) -> bytes:
    """Make one file of a volume (EFI_FFS_FILE_HEADER, or its second form for large files)."""
    size = len(content) + (32 if large else 24)
    head = name.bytes_le + bytes(2) + bytes((kind,)) + (b"\x01" if large else b"\x00")
    head += (0 if large else size).to_bytes(3, "little") + b"\xf8"
    return head + (size.to_bytes(8, "little") if large else b"") + content


def volume(*files: bytes, extended: bool = False) -> bytes:
    """Make a firmware volume (EFI_FIRMWARE_VOLUME_HEADER) with erased flash behind its files."""
    more = bytes(16) + struct.pack("<I", 20 + 6) + bytes(6) if extended else b""
    body = more
    for file in files:
        body += bytes(-(72 + len(body)) % 8) + file
    body += b"\xff" * 64
    system = UUID("8c8ce578-8a3d-4f1c-9935-896185c32dd3").bytes_le
    head = bytes(16) + system + struct.pack("<Q", 72 + len(body)) + b"_FVH" + bytes(4)
    return head + struct.pack("<HHHBB", 72, 0, 72 if extended else 0, 0, 2) + bytes(16) + body


@pytest.mark.parametrize("extended", [False, True])
def test_files_of_a_volume(extended: bool) -> None:
    files = (ffs(OTHER, b"abc"), ffs(BEFORE_EXIT, b"defghi", large=True))
    data = b"before" + volume(*files, extended=extended) + volume(files[0])
    assert list(volume_files(data)) == [(OTHER, files[0]), (BEFORE_EXIT, files[1]), (OTHER, files[0])]
    assert list(volume_files(data[: len(data) - 60])) == list(volume_files(data))[:3]
    assert list(volume_files(data[:90])) == []
    assert list(volume_files(b"_FVH" + bytes(100))) == []


def test_firmware_that_can_accept_the_rest() -> None:
    both = MEMORY_ACCEPTANCE_PROTOCOL.bytes_le + BEFORE_EXIT.bytes_le
    traits = read_firmware_traits(volume(ffs(OTHER, both)))
    assert traits.accepts_at_exit
    assert str(OTHER) in traits.sources["accepts_at_exit"]
    apart = volume(ffs(OTHER, MEMORY_ACCEPTANCE_PROTOCOL.bytes_le), ffs(OTHER, BEFORE_EXIT.bytes_le))
    traits = read_firmware_traits(apart)
    assert traits.memory_acceptance
    assert not traits.accepts_at_exit


def test_firmware_that_prints() -> None:
    assert read_firmware_traits(ASSERTION).debug_output
    assert read_firmware_traits(ASSERTION.replace(b"%a(", b"[%a] %a(")).debug_output
    assert not read_firmware_traits(b"ASSERT_EFI_ERROR (Status = %r)").debug_output


@pytest.mark.parametrize(
    ("core", "private", "told"),
    [
        # The exception handler alone puts CR3 back.
        (APIC + b"\x58" + TO_CR3, True, "SEC knows the local APIC at 0xfee00000 and never loads CR3"),
        (APIC + b"\x0f\x20\xd8" + TO_CR3, False, "and loads CR3, so it changes the reset vector's"),
        (APIC + b"\x0f\x22\xd9" + b"\x58" + TO_CR3, False, "and loads CR3"),
        (APIC + b"\x0f\x22\xe0", True, "never loads CR3"),  # that is CR4
        (b"\x58" + TO_CR3, False, "no SEC that knows the local APIC"),
    ],
)
def test_firmware_that_uses_the_apic_with_the_c_bit(core: bytes, private: bool, told: str) -> None:
    sec = ffs(BEFORE_EXIT, core, kind=SECURITY_CORE)
    traits = read_firmware_traits(volume(ffs(OTHER, APIC + TO_CR3), sec))
    assert traits.private_apic is private
    assert told in traits.sources["private_apic"]


def test_drivers_say_nothing_of_how_sec_uses_the_apic() -> None:
    assert not read_firmware_traits(volume(ffs(OTHER, APIC))).private_apic


def test_traits_from_before_private_apic_are_read() -> None:
    stored = asdict(read_firmware_traits(firmware()))
    del stored["private_apic"]
    assert not FirmwareTraits.from_json(stored).private_apic


def test_firmware_traits_survive_json() -> None:
    traits = read_firmware_traits(firmware())
    assert FirmwareTraits.from_json(json.loads(json.dumps(asdict(traits)))) == traits
    with pytest.raises(KeyError):
        FirmwareTraits.from_json({"sections": []})


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


def test_kernel_without_config_is_read_from_its_messages() -> None:
    traits = read_kernel_traits(bzimage(), None)
    assert (traits.technologies, traits.unaccepted_memory, traits.efi_stub) == ((), False, True)
    image = bzimage() + b"\0Memory acceptance protocol failed\0"
    assert read_kernel_traits(image, None).unaccepted_memory
    traits = read_kernel_traits(image + b"\0SEV-SNP supported indicated by CC blob, but not\0", None)
    assert (traits.technologies, traits.unaccepted_memory) == (("snp",), True)
    assert traits.sources["technologies"] == "image: has 'SEV-SNP supported indicated by CC blob'"
    assert not read_kernel_traits(bzimage(pe=False), None).efi_stub


def test_stored_traits_are_read_of_any_age() -> None:
    image, vmlinuz = read_firmware_traits(firmware()), read_kernel_traits(bzimage(), CONFIG)
    assert FirmwareTraits.from_json(json.loads(json.dumps(asdict(image)))) == image
    assert KernelTraits.from_json(json.loads(json.dumps(asdict(vmlinuz)))) == vmlinuz
    for folder in (DATA / "records").iterdir():
        stored = json.loads((folder / "traits.json").read_text())
        traits = FirmwareTraits.from_json(stored["firmware"])
        assert traits.technologies == ("snp",)
        assert traits.sources["technologies"].startswith("SEV metadata sections: 0x1")
        kernel = KernelTraits.from_json(stored["kernel"])
        assert kernel.technologies == (("snp",) if kernel.version.startswith("6") else ())
        assert kernel.sources["technologies"].startswith("config: ")
