# SPDX-License-Identifier: BSD-2-Clause-Patent
"""PE images that no linker made."""

from __future__ import annotations

import struct


def stub(first_raw: int = 0x400, sections: int = 2, *, certificates: int = 0) -> bytes:
    """Make a PE image whose sections hold their own names."""
    image = bytearray(first_raw + sections * 0x200)
    image[:2] = b"MZ"
    struct.pack_into("<I", image, 0x3C, 0x40)
    image[0x40:0x44] = b"PE\0\0"
    struct.pack_into("<HHIIIHH", image, 0x44, 0x8664, sections, 0, first_raw + 0x200, 1, 240, 0)
    struct.pack_into("<H", image, 0x58, 0x20B)
    struct.pack_into("<II", image, 0x58 + 32, 4096, 512)
    struct.pack_into("<III", image, 0x58 + 56, 0x1000 * (sections + 1), first_raw, 77)
    struct.pack_into("<I", image, 0x58 + 112 + 4 * 8, certificates)
    for number in range(sections):
        raw = first_raw + number * 0x200
        name = f".s{number}".encode()
        header = struct.pack("<8sIIII", name, 0x123, 0x1000 * (number + 1), 0x200, raw)
        image[0x148 + 40 * number : 0x148 + 40 * number + len(header)] = header
        image[raw : raw + 3] = name
    return bytes(image)


def sections(image: bytes) -> dict[str, tuple[int, bytes]]:
    """Read every section's address and content."""
    (count,) = struct.unpack_from("<H", image, 0x46)
    found = {}
    for number in range(count):
        name, size, address, _, at = struct.unpack_from("<8sIIII", image, 0x148 + 40 * number)
        found[name.rstrip(b"\0").decode()] = (address, image[at : at + size])
    return found
