# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Archives in cpio's "newc" format, which the kernel unpacks as its first root file system.

Format: Linux ``Documentation/driver-api/early-userspace/buffer-format.rst``. Ours is written by hand because
GNU cpio takes owners, inodes and times from files: bytes that must be the same each time would need root.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK = 512


@dataclass(frozen=True)
class CpioEntry:
    """One file of the archive; ``mode`` includes the file type, ``device`` is a node's (major, minor)."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def _padded(data: bytes, alignment: int) -> bytes:
    return data + b"\0" * (-len(data) % alignment)


def _record(inode: int, entry: CpioEntry) -> bytes:
    """One header (13 fields of 8 hex digits), name and data, each padded to 4 bytes."""
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name, 4) + _padded(entry.data, 4)


def cpio_archive(entries: Iterable[CpioEntry]) -> bytes:
    """Pack ``entries`` in the given order; inodes count from 1, times and owners are 0."""
    records = [_record(inode, entry) for inode, entry in enumerate(entries, start=1)]
    records.append(_record(0, CpioEntry("TRAILER!!!", 0)))
    return _padded(b"".join(records), _BLOCK)
