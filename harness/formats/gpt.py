# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A GUID partition table: an EFI system partition, perhaps a root partition.

Source: UEFI specification 2.10, chapter 5.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

SECTOR = 512
FIRST = 2048
"""The first partition's first sector: 1 MiB, as every partitioning tool aligns it."""
BEHIND = 2048
"""Sectors behind the last partition; the second copy of the table takes the last 33."""
_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_ROOT = uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")  # "Discoverable Partitions": root of x86-64
_DISK = uuid.UUID("5ac1ab1e-0000-4000-8000-000000000001")
_PARTITION = uuid.UUID("5ac1ab1e-0000-4000-8000-000000000002")
_ROOT_PARTITION = uuid.UUID("5ac1ab1e-0000-4000-8000-000000000003")
_ENTRIES, _ENTRY = 128, 128
_TABLE_SECTORS = _ENTRIES * _ENTRY // SECTOR


def write_gpt(image: BinaryIO, sectors: int, root_sectors: int = 0) -> int:
    """Write the table of a disk of ``sectors`` sectors; returns the EFI system partition's size in sectors.

    The last ``root_sectors`` before ``BEHIND`` are the partition ``root``, at ``root_first``. The disk's and
    the partitions' GUIDs are always the same: two images of a content are one.
    """
    split = root_first(sectors, root_sectors)
    table = _entry(_ESP, _PARTITION, FIRST, split - 1, "EFI system")
    if root_sectors:
        table += _entry(_ROOT, _ROOT_PARTITION, split, sectors - BEHIND - 1, "root")
    table = table.ljust(_ENTRIES * _ENTRY, b"\0")
    end = sectors - 1
    image.seek(0)
    image.write(_protective(sectors) + _header(1, end, 2, sectors, table) + table)
    image.seek((end - _TABLE_SECTORS) * SECTOR)
    image.write(table + _header(end, 1, end - _TABLE_SECTORS, sectors, table))
    return split - FIRST


def root_first(sectors: int, root_sectors: int) -> int:
    """Return the first sector of the root partition."""
    return sectors - BEHIND - root_sectors


def _entry(kind: uuid.UUID, own: uuid.UUID, first: int, last: int, name: str) -> bytes:
    """Make a partition's entry (5.3.3)."""
    words = name.encode("utf-16le").ljust(72, b"\0")
    return (kind.bytes_le + own.bytes_le + struct.pack("<QQQ", first, last, 0) + words).ljust(_ENTRY, b"\0")


def _protective(sectors: int) -> bytes:
    """Make the protective MBR (5.2.3)."""
    covered = min(sectors - 1, 0xFFFFFFFF)
    entry = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, covered)
    return b"\0" * 446 + entry.ljust(64, b"\0") + b"\x55\xaa"


def _header(here: int, other: int, table_at: int, sectors: int, table: bytes) -> bytes:
    """Make a GPT header (5.3.2)."""
    first_usable, last_usable = 2 + _TABLE_SECTORS, sectors - 2 - _TABLE_SECTORS

    def packed(checksum: int) -> bytes:
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, here, other,
                           first_usable, last_usable, _DISK.bytes_le, table_at, _ENTRIES, _ENTRY,
                           zlib.crc32(table))  # fmt: skip

    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")
