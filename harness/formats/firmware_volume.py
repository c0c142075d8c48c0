# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The files in firmware volumes: drivers, each with its GUID (UEFI PI specification, volume 3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNATURE = b"_FVH"
_SIGNATURE_AT = 40  # in EFI_FIRMWARE_VOLUME_HEADER
_SYSTEMS = {UUID("8c8ce578-8a3d-4f1c-9935-896185c32dd3"), UUID("5473c07a-3dcb-4dca-bd6f-1e9689e7349a")}
"""File systems of volumes: FFS2, FFS3."""
_FILE_HEADER = 24
_KIND_AT = 18  # in EFI_FFS_FILE_HEADER
_LARGE = 0x01  # FFS_ATTRIB_LARGE_FILE: the size is in 8 bytes behind the header

SECURITY_CORE = 0x03
"""The kind of a volume's first program: SEC, which the reset vector starts."""

PE32, TE, UI = 0x10, 0x12, 0x15
"""Kinds of sections: programs, with a whole header and a terse one, and a name for people."""


@dataclass(frozen=True)
class PlacedFile:
    """A file: where its volume and the file itself begin, its name, and its bytes with the header."""

    volume: int
    offset: int
    name: UUID
    content: bytes


def volume_files(data: bytes) -> Iterator[tuple[UUID, bytes]]:
    """Yield the files of all volumes in ``data``, headers included; what is compressed is not looked into.

    What is damaged ends its volume.
    """
    return ((file.name, file.content) for file in placed_files(data))


def placed_files(data: bytes) -> Iterator[PlacedFile]:
    """Yield the files of all volumes in ``data``, as `volume_files` does, with where each is."""
    found = data.find(_SIGNATURE)
    while found >= 0:
        start = found - _SIGNATURE_AT
        if start >= 0 and UUID(bytes_le=data[start + 16 : start + 32]) in _SYSTEMS:
            yield from _files(data[start:], start)
        found = data.find(_SIGNATURE, found + len(_SIGNATURE))


def has_volume(data: bytes) -> bool:
    """Return whether there is a firmware volume in an image."""
    return _SIGNATURE in data


def kind_of(content: bytes) -> int:
    """Return the kind that a file's header says, such as ``SECURITY_CORE``."""
    return content[_KIND_AT]


def ui_name(content: bytes) -> str:
    """Return the name that a file's user interface section has, "" where it has none."""
    for kind, start, end in sections(content):
        if kind == UI:
            return content[start:end].decode("utf-16-le", "replace").rstrip("\0")
    return ""


def sections(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield a file's sections: the kind of each, and where in the file its content begins and ends."""
    cursor = _FILE_HEADER
    while cursor + 4 <= len(content):
        size, kind = int.from_bytes(content[cursor : cursor + 3], "little"), content[cursor + 3]
        if size < 4 or cursor + size > len(content):
            return
        yield kind, cursor + 4, cursor + size
        cursor += -(-size // 4) * 4


def _files(volume: bytes, at: int) -> Iterator[PlacedFile]:
    try:
        (length,) = struct.unpack_from("<Q", volume, 32)
        header, _, extended = struct.unpack_from("<HHH", volume, 48)
        cursor = header
        if extended:
            (more,) = struct.unpack_from("<I", volume, extended + 16)
            cursor = extended + more
        while (cursor := -(-cursor // 8) * 8) + _FILE_HEADER <= min(length, len(volume)):
            size = int.from_bytes(volume[cursor + 20 : cursor + 23], "little")
            if volume[cursor + 19] & _LARGE and size != 0xFFFFFF:
                (size,) = struct.unpack_from("<Q", volume, cursor + _FILE_HEADER)
            if size < _FILE_HEADER or size == 0xFFFFFF:
                return  # erased flash: no more files
            name = UUID(bytes_le=volume[cursor : cursor + 16])
            yield PlacedFile(at, at + cursor, name, volume[cursor : cursor + size])
            cursor += size
    except struct.error:
        return
