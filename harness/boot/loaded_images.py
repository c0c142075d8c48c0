# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which EFI images are loaded, as a table in the guest's memory says, of RELEASE builds, too.

UEFI specification 2.10, chapter 18.4: a structure at a multiple of 4 MiB leads to the system table, one of
its configuration tables to the debug image info table. edk2 fills it in every build
(MdeModulePkg/Core/Dxe/Misc/ DebugImageInfo.c). After ExitBootServices the kernel may have used that memory:
what does not fit is left out.
"""

from __future__ import annotations

import struct
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Protocol
from uuid import UUID
from zlib import crc32

from harness.evidence.symbols.modules import Module

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.intervals import IntervalSet

_STEP = 4 << 20
_POINTER = b"IBI SYST"  # EFI_SYSTEM_TABLE_SIGNATURE
_TABLE = UUID("49152e77-1ada-4764-b7a2-7afefed95e8b").bytes_le  # EFI_DEBUG_IMAGE_INFO_TABLE_GUID
_BELOW = 1 << 32
_MOST_TABLES, _MOST_IMAGES, _MOST_NODES = 64, 1000, 16
_LARGEST_IMAGE = 256 << 20
_PATH_BYTES = 1024
_MEDIA, _FILE_PATH, _FIRMWARE_FILE = 4, 4, 6


class Memory(Protocol):
    """What the table is read from."""

    ram: IntervalSet

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at a guest physical address; fewer, or none, where RAM ends."""


def loaded_images(memory: Memory, names: Mapping[UUID, str]) -> tuple[Module, ...]:
    """Return the loaded images; none where no table is found.

    ``names``: what the firmware's own modules are called, by the GUIDs of their files.
    """
    for start, end in memory.ram:
        for address in range(start, min(end, _BELOW), _STEP):
            head = memory.read(address, 24)
            if head[:8] == _POINTER and _is_whole(head):
                (system_table,) = struct.unpack_from("<Q", head, 8)
                return tuple(_images(memory, system_table, names))
    return ()


def _is_whole(head: bytes) -> bool:
    """Return whether the checksum over the structure is right, its own field being 0."""
    said = int.from_bytes(head[16:20], "little")
    return crc32(head[:16] + bytes(4) + head[20:24]) == said


def _images(memory: Memory, system_table: int, names: Mapping[UUID, str]) -> Iterator[Module]:
    count, tables = _words(memory, system_table + 104, 2)
    for number in range(min(count, _MOST_TABLES)):
        entry = memory.read(tables + 24 * number, 24)
        if entry[:16] != _TABLE or len(entry) < 24:
            continue
        header = memory.read(struct.unpack_from("<Q", entry, 16)[0], 16)
        if len(header) < 16:
            return
        size, images = struct.unpack_from("<4xIQ", header)
        for index in range(min(size, _MOST_IMAGES)):
            (info,) = _words(memory, images + 8 * index, 1)
            if info and (found := _image(memory, info, names)) is not None:
                yield found


def _image(memory: Memory, info: int, names: Mapping[UUID, str]) -> Module | None:
    """Return the image of a table's entry (EFI_DEBUG_IMAGE_INFO_NORMAL), by its EFI_LOADED_IMAGE_PROTOCOL."""
    kind, protocol = _words(memory, info, 2)
    if kind & 0xFFFFFFFF != 1:
        return None
    (path,) = _words(memory, protocol + 32, 1)
    base, size = _words(memory, protocol + 64, 2)
    if not base or not 0 < size <= _LARGEST_IMAGE:
        return None
    name, guid = _name(memory.read(path, _PATH_BYTES) if path else b"", names)
    return Module(base, name, size, guid)


def _name(path: bytes, names: Mapping[UUID, str]) -> tuple[str, str]:
    """Return the name of the last node of a device path that names a file, and the GUID of a firmware's."""
    at, name, of = 0, "", ""
    for _ in range(_MOST_NODES):
        if at + 4 > len(path):
            break
        kind, below, size = struct.unpack_from("<BBH", path, at)
        if size < 4 or kind == 0x7F:
            break
        content = path[at + 4 : at + size]
        if (kind, below) == (_MEDIA, _FIRMWARE_FILE) and len(content) >= 16:
            guid = UUID(bytes_le=content[:16])
            name, of = names.get(guid, str(guid)), str(guid)
        elif (kind, below) == (_MEDIA, _FILE_PATH):
            name = PureWindowsPath(content.decode("utf-16-le", "replace").rstrip("\0")).name
        at += size
    return name, of


def _words(memory: Memory, address: int, count: int) -> tuple[int, ...]:
    data = memory.read(address, 8 * count)
    return struct.unpack(f"<{count}Q", data) if len(data) == 8 * count else (0,) * count
