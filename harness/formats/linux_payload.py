# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The kernel inside of a bzImage: the ELF file that the decompressor unpacks.

Source: Linux ``Documentation/arch/x86/boot.rst``, fields payload_offset and payload_length.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.formats.bzimage import is_bzimage, read_setup

_SETUP_SECTORS = 0x1F1
_PAYLOAD = 0x248
_LARGEST = 1 << 30
_LOADED, _NOTE = 1, 4  # PT_LOAD, PT_NOTE
_BUILD_ID = b"\x03\0\0\0GNU\0"
"""Type and name of the note; before them the sizes of both."""
_NOTE_SIZES = 8
_ELF = b"\x7fELF"
_GZIP, _XZ, _BZIP2, _ZSTD, _LZMA = b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"\x5d\0\0"


def kernel_elf(image: bytes) -> bytes:
    """Return the ELF file in a bzImage; HarnessError for what is none, or not read here."""
    read_setup(image)
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = (image[_SETUP_SECTORS] + 1) * 512 + offset
    packed = image[start : start + length]
    try:
        found = _unpacked(packed)
    except (lzma.LZMAError, zlib.error, OSError, ValueError) as error:
        raise HarnessError(f"the kernel's payload is damaged: {error}", "build or fetch it again") from error
    if not found.startswith(_ELF):
        raise HarnessError("the kernel's payload is no ELF file, or packed in a way that is not read here")
    return found


@dataclass(frozen=True)
class Segment:
    """A part of an ELF file that is loaded: its place in the file, its address, its bytes."""

    offset: int
    address: int
    size: int


def segments(elf: bytes) -> tuple[Segment, ...]:
    """Return what of a 64-bit ELF file is loaded; HarnessError where it is damaged."""
    return _segments(elf, _LOADED)


def build_id(elf: bytes) -> str:
    """Return the linker's build id of a 64-bit ELF file in hexadecimal, "" where it has none."""
    for each in _segments(elf, _NOTE):
        notes = elf[each.offset : each.offset + each.size]
        at = notes.find(_BUILD_ID)
        if at >= _NOTE_SIZES:
            (size,) = struct.unpack_from("<I", notes, at - 4)
            return notes[at + len(_BUILD_ID) : at + len(_BUILD_ID) + size].hex()
    return ""


def _segments(elf: bytes, kind: int) -> tuple[Segment, ...]:
    try:
        (table,) = struct.unpack_from("<Q", elf, 32)
        size, count = struct.unpack_from("<HH", elf, 54)
        found = [struct.unpack_from("<IIQQQQ", elf, table + size * number) for number in range(count)]
    except struct.error as error:
        raise HarnessError(f"the kernel's ELF file is damaged: {error}", "build or fetch it again") from error
    return tuple(Segment(it[2], it[3], it[5]) for it in found if it[0] == kind)


def bytes_at(elf: bytes, address: int, size: int) -> bytes:
    """Return what an ELF file has at an address, as it is linked; fewer bytes, or none, where it ends."""
    for each in segments(elf):
        if each.address <= address < each.address + each.size:
            start = each.offset + address - each.address
            return elf[start : min(start + size, each.offset + each.size)]
    return b""


def _unpacked(packed: bytes) -> bytes:
    if packed.startswith(_GZIP):
        return zlib.decompressobj(31).decompress(packed, _LARGEST)
    if packed.startswith(_XZ):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed, _LARGEST)
    if packed.startswith(_LZMA):
        return lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(packed, _LARGEST)
    if packed.startswith(_BZIP2):
        return bz2.BZ2Decompressor().decompress(packed, _LARGEST)
    if packed.startswith(_ZSTD):
        import zstandard  # noqa: PLC0415  # few kernels are looked into

        try:
            return zstandard.ZstdDecompressor().decompressobj().decompress(packed)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
    return packed


def kernel_in(disk: bytes) -> bytes | None:
    """Return the first bzImage in a disk or program that holds it in one piece; None for none.

    The disks that the harness writes, and unified kernel images, do.
    """
    at = disk.find(b"HdrS")
    while at >= 0:
        start = at - 0x202
        if start >= 0 and is_bzimage(disk[start : start + 0x400]):
            head = disk[start : start + 0x400]
            (system,) = struct.unpack_from("<I", head, 0x1F4)
            size = ((head[_SETUP_SECTORS] or 4) + 1) * 512 + system * 16
            if head[0x1FE:0x200] == b"\x55\xaa" and start + size <= len(disk):
                return disk[start : start + size]
        at = disk.find(b"HdrS", at + 4)
    return None
