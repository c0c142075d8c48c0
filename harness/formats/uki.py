# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A unified kernel image: systemd's EFI stub with kernel, initramfs and command line as further PE sections.

Sources: UAPI group specification "Unified Kernel Image"; Microsoft "PE Format".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PE_POINTER = 0x3C
_COFF = 4  # behind the signature
_OPTIONAL = 24
_HEADER_SIZE = 40
_PE32_PLUS = 0x20B
_DATA = 0x40000040  # initialized data, readable
# Offsets into the optional header.
_INITIALIZED, _ALIGNMENT, _FILE_ALIGNMENT, _IMAGE_SIZE, _HEADERS_SIZE, _CHECKSUM = 8, 32, 36, 56, 60, 64
_CERTIFICATES = 112 + 4 * 8


def add_sections(stub: bytes, sections: Sequence[tuple[str, bytes]]) -> bytes:
    """Append ``sections``, in order, behind the stub's own; their addresses follow the last one's.

    ValueError when ``stub`` is no unsigned 64-bit PE image.
    """
    (pe,) = struct.unpack_from("<I", stub, _PE_POINTER) if stub[:2] == b"MZ" else (len(stub),)
    optional = pe + _OPTIONAL
    if stub[pe : pe + 4] != b"PE\0\0" or struct.unpack_from("<H", stub, optional) != (_PE32_PLUS,):
        raise ValueError("it is no 64-bit PE image")
    if struct.unpack_from("<II", stub, optional + _CERTIFICATES) != (0, 0):
        raise ValueError("it is signed, and nothing can be added to it")
    (count,) = struct.unpack_from("<H", stub, pe + _COFF + 2)
    (optional_size,) = struct.unpack_from("<H", stub, pe + _COFF + 16)
    alignment, file_alignment = struct.unpack_from("<II", stub, optional + _ALIGNMENT)
    table = optional + optional_size
    image = bytearray(_with_room(stub, table, count, len(sections), file_alignment))
    # Not every linker writes the size of the last section in full, so the end is looked for in all of them.
    address = max(
        sum(struct.unpack_from("<II", image, table + number * _HEADER_SIZE + 8)) for number in range(count)
    )
    image += b"\0" * (-len(image) % file_alignment)
    for number, (name, content) in enumerate(sections, start=count):
        address = _up(address, max(alignment, 4096))
        padded = content + b"\0" * (-len(content) % file_alignment)
        struct.pack_into("<8sIIIIIIHHI", image, table + number * _HEADER_SIZE, name.encode("ascii"),
                         len(content), address, len(padded), len(image), 0, 0, 0, 0, _DATA)  # fmt: skip
        (initialized,) = struct.unpack_from("<I", image, optional + _INITIALIZED)
        struct.pack_into("<I", image, optional + _INITIALIZED, initialized + len(padded))
        image += padded
        address += len(content)
    struct.pack_into("<H", image, pe + _COFF + 2, count + len(sections))
    struct.pack_into("<I", image, optional + _IMAGE_SIZE, _up(address, alignment))
    struct.pack_into("<I", image, optional + _CHECKSUM, 0)
    return bytes(image)


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def _with_room(stub: bytes, table: int, count: int, more: int, file_alignment: int) -> bytes:
    """Move the sections' contents back in the file where the headers of ``more`` would reach into them."""
    headers = [table + number * _HEADER_SIZE for number in range(count)]
    starts = [struct.unpack_from("<I", stub, header + 20)[0] for header in headers]
    first = min(start for start in starts if start)
    end = table + (count + more) * _HEADER_SIZE
    if end <= first:
        return stub
    room = _up(end - first, file_alignment)
    moved = bytearray(stub[:first] + b"\0" * room + stub[first:])
    for header, start in zip(headers, starts, strict=True):
        if start:
            struct.pack_into("<I", moved, header + 20, start + room)
    (pe,) = struct.unpack_from("<I", stub, _PE_POINTER)
    (symbols,) = struct.unpack_from("<I", stub, pe + _COFF + 8)
    if symbols:
        struct.pack_into("<I", moved, pe + _COFF + 8, symbols + room)
    struct.pack_into("<I", moved, pe + _OPTIONAL + _HEADERS_SIZE, first + room)
    return bytes(moved)
