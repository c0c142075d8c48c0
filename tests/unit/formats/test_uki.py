# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Unified kernel images: sections behind those of a stub, with and without room for their headers."""

from __future__ import annotations

import struct

import pytest

from harness.formats.uki import add_sections
from tests.support.pe_image import sections, stub

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
