# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An ext4 file system from a tar archive, byte for byte the same each time.

``mke2fs -d`` copies a folder in the order of names. What is left to chance is when each inode was changed and
read last: mke2fs takes it from the unpacked files, and learns of it afterwards. Layout: Linux
``Documentation/filesystems/ext4/``, chapters "Super Block", "Block Group Descriptors", "Index Nodes".
"""

from __future__ import annotations

import os
import struct
import tarfile
from typing import TYPE_CHECKING, BinaryIO

from harness.store.build_steps import run_step

if TYPE_CHECKING:
    from pathlib import Path

    from harness.progress import Progress

UUID = "5ac1ab1e-0000-4000-8000-000000000004"
BLOCK = 4096
_INODE = 256
_ALIGN = 16 << 20
_FREE = 256 << 20
"""Bytes that stay free for what the guest writes; in the image they are a hole."""
_FEATURES = "^has_journal,^metadata_csum,^metadata_csum_seed,^orphan_file,^64bit,^resize_inode"
"""No checksums, so that times can be written; no journal, for the overlay is thrown away after a crash."""
_UNPACK_AND_MAKE = (
    'mkdir "$2"; tar -x --numeric-owner -p -f "$1" -C "$2" --exclude "./dev/*"; shift 2; exec "$@"'
)


def write_ext4(
    image: Path, archive: Path, label: str, epoch: int, work: Path, log: Path, progress: Progress
) -> None:
    """Write the file system that holds ``archive``; all of its times are at most ``epoch`` (Unix time).

    ``work`` is a folder for the unpacked files. Without root, fakeroot keeps their owners.
    """
    fake = [] if os.geteuid() == 0 else ["fakeroot"]
    make = [
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-I", str(_INODE), "-m", "0"),
        *("-O", _FEATURES, "-L", label, "-U", UUID),
        *("-E", f"hash_seed={UUID},root_owner=0:0,lazy_itable_init=0,nodiscard"),
        *("-d", str(work / "root"), str(image), f"{_size(archive) >> 10}k"),
    ]
    script = ["sh", "-euc", _UNPACK_AND_MAKE, "sh", str(archive), str(work / "root"), *make]
    # A user's PATH often lacks the folders of the system's tools.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    times = {
        "PATH": path,
        "SOURCE_DATE_EPOCH": str(epoch),
        "E2FSPROGS_FAKE_TIME": str(epoch),
        "MKE2FS_CONFIG": os.devnull,
    }
    run_step(f"{label}: making the ext4 file system", [*fake, *script], work, log, progress, times)
    with image.open("r+b") as file:
        settle_times(file, epoch)


def _size(archive: Path) -> int:
    """Return how large a file system for the archive should be, in bytes."""
    used = 0
    with tarfile.open(archive) as members:
        for member in members:
            used += -(-member.size // BLOCK) * BLOCK + _INODE + BLOCK // 16
    return -(-(used + used // 32 + _FREE) // _ALIGN) * _ALIGN


def settle_times(file: BinaryIO, epoch: int) -> None:
    """Set the times of every inode in use: changed, read and made at ``epoch``, modified no later."""
    file.seek(1024)
    superblock = file.read(1024)
    (inodes,) = struct.unpack_from("<I", superblock, 0)
    blocks, per_group, inodes_per_group = (struct.unpack_from("<I", superblock, at)[0] for at in (4, 32, 40))
    for group in range(-(-blocks // per_group)):
        file.seek(BLOCK + group * 32)
        (table,) = struct.unpack_from("<I", file.read(32), 8)
        file.seek(table * BLOCK)
        there = bytearray(file.read(min(inodes_per_group, inodes - group * inodes_per_group) * _INODE))
        before = bytes(there)
        for at in range(0, len(there), _INODE):
            (links,) = struct.unpack_from("<H", there, at + 26)
            if links:
                (modified,) = struct.unpack_from("<I", there, at + 16)
                struct.pack_into("<III", there, at + 8, epoch, epoch, min(modified, epoch))
                struct.pack_into("<IIIII", there, at + 132, 0, 0, 0, epoch, 0)
        if there != before:
            file.seek(table * BLOCK)
            file.write(there)
