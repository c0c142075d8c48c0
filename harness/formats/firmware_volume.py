# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The files in firmware volumes: drivers, each with its GUID (UEFI PI specification, volume 3)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNATURE = b"_FVH"
_SIGNATURE_AT = 40  # in EFI_FIRMWARE_VOLUME_HEADER
_SYSTEMS = {UUID("8c8ce578-8a3d-4f1c-9935-896185c32dd3"), UUID("5473c07a-3dcb-4dca-bd6f-1e9689e7349a")}
"""File systems of volumes: FFS2, FFS3."""
_FILE_HEADER = 24
_LARGE = 0x01  # FFS_ATTRIB_LARGE_FILE: the size is in 8 bytes behind the header


def volume_files(data: bytes) -> Iterator[tuple[UUID, bytes]]:
    """Yield the files of all volumes in ``data``, headers included; what is compressed is not looked into.

    What is damaged ends its volume.
    """
    found = data.find(_SIGNATURE)
    while found >= 0:
        start = found - _SIGNATURE_AT
        if start >= 0 and UUID(bytes_le=data[start + 16 : start + 32]) in _SYSTEMS:
            yield from _files(data[start:])
        found = data.find(_SIGNATURE, found + len(_SIGNATURE))


def _files(volume: bytes) -> Iterator[tuple[UUID, bytes]]:
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
            yield UUID(bytes_le=volume[cursor : cursor + 16]), volume[cursor : cursor + size]
            cursor += size
    except struct.error:
        return
