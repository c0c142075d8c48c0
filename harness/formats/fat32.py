# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A FAT32 file system from a set of files: without root, and byte for byte the same each time.

Source: Microsoft "FAT: General Overview of On-Disk Format", version 1.03 (sections are named below). No
tool is needed, so the bytes do not depend on a tool's version or on the code pages that the host has. Sizes
are in bytes unless they say sectors (of 512 bytes); a cluster is one sector.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

SECTOR = 512
_RESERVED = 32
_FATS = 2
_LEAST_CLUSTERS = 65525  # fewer make it FAT16, by "FAT Type Determination"
_BACKUP = 6
_MEDIA = 0xF8
_END = 0x0FFFFFFF
_DIRECTORY, _ARCHIVE, _VOLUME, _LONG = 0x10, 0x20, 0x08, 0x0F
_DATE = 0x21  # 1980-01-01, the first day that FAT knows; all times are midnight
_LONG_UNITS = 13
_SHORT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")

Content = bytes | Path


class TooSmallError(ValueError):
    """The files need more sectors than the file system may have."""

    def __init__(self, needed: int, there: int) -> None:
        super().__init__(f"the files need {needed} sectors, there are {there}")
        self.needed = needed
        self.there = there


@dataclass
class _Node:
    """A file or directory; ``first`` is its first cluster, 0 for an empty file."""

    name: str
    content: Content = b""
    children: dict[str, _Node] | None = None
    first: int = 0
    clusters: int = 0
    names: dict[str, str] = field(default_factory=dict)
    """Of a directory: each child's short name, as ``BASE.EXT``."""

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


def needed_sectors(files: Mapping[str, Content]) -> int:
    """Return how many sectors a file system for ``files`` needs at least."""
    clusters = _lay_out(_tree(files)) - 2
    return _RESERVED + _FATS * _fat_sectors(max(clusters, _LEAST_CLUSTERS)) + max(clusters, _LEAST_CLUSTERS)


def write_fat32(  # the layout's few numbers by name
    image: BinaryIO, offset: int, sectors: int, files: Mapping[str, Content], *, label: str, serial: int
) -> None:
    """Write a file system of ``sectors`` sectors at byte ``offset``; what it does not use is left alone.

    ``files`` maps paths such as ``EFI/BOOT/BOOTX64.EFI`` to contents. TooSmallError when they do not fit.
    """
    if sectors < (needed := needed_sectors(files)):
        raise TooSmallError(needed, sectors)
    root = _tree(files)
    after = _lay_out(root)
    fat_sectors = _fat_sectors(sectors - _RESERVED - 2 * _FATS)
    clusters = sectors - _RESERVED - _FATS * fat_sectors
    boot = _boot_sector(offset // SECTOR, sectors, fat_sectors, root.first, label, serial)
    info = _info_sector(free=clusters - (after - 2), following=after)
    for copy in (0, _BACKUP):
        image.seek(offset + copy * SECTOR)
        image.write(boot + info)
    table = _table(root, after)
    for number in range(_FATS):
        image.seek(offset + (_RESERVED + number * fat_sectors) * SECTOR)
        image.write(table)
    data = offset + (_RESERVED + _FATS * fat_sectors) * SECTOR
    for node, parent in _walk(root):
        image.seek(data + (node.first - 2) * SECTOR)
        if node.children is not None:
            image.write(_directory(node, parent, label))
        elif isinstance(node.content, bytes):
            image.write(node.content)
        else:
            image.write(node.content.read_bytes())


def _tree(files: Mapping[str, Content]) -> _Node:
    root = _Node("", children={})
    for path, content in sorted(files.items()):
        here = root
        for part in PurePosixPath(path).parts[:-1]:
            assert here.children is not None
            here = here.children.setdefault(part, _Node(part, children={}))
        assert here.children is not None
        name = PurePosixPath(path).name
        here.children[name] = _Node(name, content)
    return root


def _lay_out(root: _Node) -> int:
    """Return every node its clusters, one after the other from 2; returns the first free cluster."""
    free = 2
    for node, parent in _walk(root):
        size = node.size
        if node.children is not None:
            node.names = _short_names(node.children)
            entries = sum(1 + _long_entries(name, node.names[name]) for name in node.children)
            size = 32 * (entries + (1 if parent is None else 2))
        node.clusters = -(-size // SECTOR)
        node.first = free if node.clusters else 0
        free += node.clusters
    return free


def _walk(node: _Node, parent: _Node | None = None) -> Iterator[tuple[_Node, _Node | None]]:
    yield node, parent
    for child in (node.children or {}).values():
        yield from _walk(child, node)


def _fat_sectors(clusters: int) -> int:
    return -(-(clusters + 2) * 4 // SECTOR)


def _boot_sector(hidden: int, sectors: int, fat_sectors: int, root: int, label: str, serial: int) -> bytes:
    """Make sector 0: "Boot Sector and BPB"."""
    bpb = struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x58\x90", b"MSWIN4.1", SECTOR, 1, _RESERVED, _FATS, 0, 0,
                      _MEDIA, 0, 63, 255, hidden, sectors)  # fmt: skip
    bpb += struct.pack("<IHHIHH12x", fat_sectors, 0, 0, root, 1, _BACKUP)
    bpb += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, serial, label.ljust(11).encode("ascii"), b"FAT32   ")
    return bpb.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def _info_sector(free: int, following: int) -> bytes:
    """Make sector 1: "FSInfo Sector Structure"."""
    return struct.pack("<I480xIII12xI", 0x41615252, 0x61417272, free, following, 0xAA550000)


def _table(root: _Node, after: int) -> bytes:
    """Make the used part of the FAT: "FAT Data Structure"; files lie in one piece."""
    table = list(range(1, after + 1))
    table[0], table[1] = 0x0FFFFF00 | _MEDIA, _END
    for node, _ in _walk(root):
        if node.clusters:
            table[node.first + node.clusters - 1] = _END
    return struct.pack(f"<{after}I", *table)


def _directory(node: _Node, parent: _Node | None, label: str) -> bytes:
    """Make a directory's entries: "FAT Directory Structure"."""
    entries = []
    if parent is None:
        entries.append(_entry(label.ljust(11).encode("ascii"), _VOLUME, 0, 0))
    else:
        # To the parent that is the root, ".." says 0.
        up = parent.first if parent.name else 0
        entries += [_entry(b".".ljust(11), _DIRECTORY, node.first, 0),
                    _entry(b"..".ljust(11), _DIRECTORY, up, 0)]  # fmt: skip
    for name, child in (node.children or {}).items():
        base, _, extension = node.names[name].partition(".")
        short = base.ljust(8).encode("ascii") + extension.ljust(3).encode("ascii")
        if _long_entries(name, node.names[name]):
            entries += _long_name(name, short)
        kind = _ARCHIVE if child.children is None else _DIRECTORY
        entries.append(_entry(short, kind, child.first, child.size if child.children is None else 0))
    return b"".join(entries)


def _entry(short: bytes, attributes: int, first: int, size: int) -> bytes:
    return struct.pack("<11sBBBHHHHHHHI", short, attributes, 0, 0, 0, _DATE, _DATE, first >> 16, 0, _DATE,
                       first & 0xFFFF, size)  # fmt: skip


def _short_names(children: Mapping[str, _Node]) -> dict[str, str]:
    """Return each name one of 8.3: itself where that is one in capitals, else an alias with a number."""
    names: dict[str, str] = {}
    for number, name in enumerate(children, start=1):
        base, dot, extension = name.rpartition(".") if "." in name else (name, "", "")
        if (
            0 < len(base) <= 8
            and len(extension) <= 3
            and set(base + extension) <= _SHORT
            and bool(extension) == bool(dot)
        ):
            names[name] = name
            continue
        tail = f"~{number}"
        plain = "".join(letter for letter in base.upper() if letter in _SHORT)[: 8 - len(tail)]
        kind = "".join(letter for letter in extension.upper() if letter in _SHORT)[:3]
        names[name] = f"{plain}{tail}.{kind}" if kind else f"{plain}{tail}"
    return names


def _long_entries(name: str, short: str) -> int:
    return 0 if name == short else -(-len(name) // _LONG_UNITS)


def _long_name(name: str, short: bytes) -> list[bytes]:
    """Make the entries before the short one: "FAT Long Directory Entries", last part first."""
    total = 0
    for byte in short:
        total = ((total >> 1) | (total << 7 & 0x80)) + byte & 0xFF
    units = name.encode("utf-16le")
    count = _long_entries(name, "")
    units = (units + b"\0\0" if len(name) % _LONG_UNITS else units).ljust(count * _LONG_UNITS * 2, b"\xff")
    parts = []
    for number in range(count, 0, -1):
        part = units[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        parts.append(
            struct.pack("<B10sBBB12sH4s", order, part[:10], _LONG, 0, total, part[10:22], 0, part[22:])
        )
    return parts
