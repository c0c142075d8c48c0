# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware's table of loaded images, read from a guest's memory that a test made."""

from __future__ import annotations

import struct
from uuid import UUID
from zlib import crc32

from harness.boot.loaded_images import loaded_images
from harness.evidence.symbols.modules import Module
from harness.intervals import IntervalSet

GUID = UUID("2ec9da37-ee35-4de9-86c5-6d9a81dc38a7")
POINTER, SYSTEM, TABLES, HEADER, LIST, INFO, LOADED, PATHS = (0x400000 + 0x10000 * n for n in range(8))
TABLE = UUID("49152e77-1ada-4764-b7a2-7afefed95e8b")


class Memory:
    """A guest's RAM of 8 MiB."""

    def __init__(self) -> None:
        self.ram = IntervalSet.span(0, 8 << 20)
        self.data = bytearray(8 << 20)

    def put(self, address: int, content: bytes) -> None:
        self.data[address : address + len(content)] = content

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.data[address : address + size])


def node(below: int, content: bytes) -> bytes:
    return struct.pack("<BBH", 4, below, 4 + len(content)) + content


def memory_with(*images: tuple[int, int, bytes]) -> Memory:
    """Return memory with images: base, size, device path."""
    made = Memory()
    head = struct.pack("<8sQII", b"IBI SYST", SYSTEM, 0, 0)
    made.put(POINTER, head[:16] + struct.pack("<I", crc32(head)))
    made.put(SYSTEM + 104, struct.pack("<QQ", 2, TABLES))
    made.put(TABLES, UUID(int=7).bytes_le + bytes(8) + TABLE.bytes_le + struct.pack("<Q", HEADER))
    made.put(HEADER, struct.pack("<IIQ", 0, len(images) + 1, LIST))
    for number, (base, size, path) in enumerate(images):
        info, loaded, at = INFO + 0x100 * number, LOADED + 0x100 * number, PATHS + 0x400 * number
        made.put(LIST + 8 * number, struct.pack("<Q", info))
        made.put(info, struct.pack("<QQ", 1, loaded))
        made.put(loaded + 32, struct.pack("<Q", at))
        made.put(loaded + 64, struct.pack("<QQ", base, size))
        made.put(at, path + b"\x7f\xff\x04\x00")
    return made


def test_images() -> None:
    drive = node(6, GUID.bytes_le)
    file = node(4, "\\EFI\\BOOT\\GRUBX64.EFI\0".encode("utf-16-le"))
    memory = memory_with((0x7F143000, 0x5000, drive), (0x1000, 0x2000, file), (0x9000, 0x1000, b""))
    assert loaded_images(memory, {GUID: "AmdSevDxe"}) == (
        Module(0x7F143000, "AmdSevDxe", 0x5000, str(GUID)),
        Module(0x1000, "GRUBX64.EFI", 0x2000),
        Module(0x9000, "", 0x1000),
    )
    assert loaded_images(memory, {})[0].name == str(GUID)


def test_what_does_not_fit_is_left_out() -> None:
    memory = memory_with((0, 0x1000, b""), (0x1000, 1 << 40, b""))
    assert loaded_images(memory, {}) == ()
    memory.put(POINTER + 16, bytes(4))
    assert loaded_images(memory, {}) == (), "its checksum is wrong"
    assert loaded_images(Memory(), {}) == ()
