# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Unified kernel images: sections behind those of a stub, with and without room for their headers."""

from __future__ import annotations

import struct

import pytest

from harness.formats.uki import add_sections


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


NEW = [(".cmdline", b"quiet"), (".linux", b"k" * 5000), (".initrd", b"i" * 10)]


@pytest.mark.parametrize("first_raw", [0x400, 0x200])
def test_sections_are_added(first_raw: int) -> None:
    """0x200: the headers of three more sections would reach into the first one's content."""
    image = add_sections(stub(first_raw), NEW)
    found = sections(image)
    assert list(found) == [".s0", ".s1", ".cmdline", ".linux", ".initrd"]
    assert [address for address, _ in found.values()] == [0x1000, 0x2000, 0x3000, 0x4000, 0x6000]
    assert found[".s0"][1][:3] == b".s0"
    assert found[".s1"][1][:3] == b".s1"
    assert [found[name][1] for name, _ in NEW] == [content for _, content in NEW]
    size, headers, checksum = struct.unpack_from("<III", image, 0x58 + 56)
    assert (size, checksum) == (0x7000, 0)
    assert headers >= 0x148 + 5 * 40
    assert struct.unpack_from("<I", image, 0x4C)[0] == headers + 0x200, "the symbol table moved along"
    assert len(image) % 512 == 0


def test_what_cannot_become_one() -> None:
    for broken in (b"", b"MZ" + bytes(100), stub().replace(b"PE\0\0", b"NE\0\0")):
        with pytest.raises(ValueError, match="no 64-bit PE image"):
            add_sections(broken, NEW)
    with pytest.raises(ValueError, match="it is signed"):
        add_sections(stub(certificates=0x1000), NEW)
