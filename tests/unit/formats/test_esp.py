# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Disks with an EFI system partition: read back by a reader that shares no code with the writer."""

from __future__ import annotations

import io
import struct
import uuid
import zlib
from typing import TYPE_CHECKING

import pytest

from harness.formats.fat32 import SECTOR, TooSmallError, needed_sectors, write_fat32
from harness.formats.gpt import write_gpt

if TYPE_CHECKING:
    from pathlib import Path

DISK = 64 << 20
LONG = "loader/entries/a name of more than thirteen letters, with öäü.conf"


def disk(files: dict[str, bytes | Path]) -> bytes:
    image = io.BytesIO(bytes(DISK))
    sectors = write_gpt(image, DISK // SECTOR)
    write_fat32(image, 1 << 20, sectors, files, label="ESP", serial=0x1234ABCD)
    return image.getvalue()


class Fat:
    """A reader of FAT32 as the specification's reader would be."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        (self.reserved,) = struct.unpack_from("<H", data, 14)
        self.cluster = data[13] * SECTOR
        (self.fat_sectors,) = struct.unpack_from("<I", data, 36)
        (self.root,) = struct.unpack_from("<I", data, 44)
        (self.sectors,) = struct.unpack_from("<I", data, 32)
        self.clusters = (self.sectors - self.reserved - 2 * self.fat_sectors) // data[13]

    def chain(self, first: int) -> list[int]:
        found = []
        while 2 <= first < 0x0FFFFFF8:
            found.append(first)
            (first,) = struct.unpack_from("<I", self.data, self.reserved * SECTOR + 4 * first)
        return found

    def read(self, first: int) -> bytes:
        start = (self.reserved + 2 * self.fat_sectors) * SECTOR
        parts = (start + (number - 2) * self.cluster for number in self.chain(first))
        return b"".join(self.data[at : at + self.cluster] for at in parts)

    def walk(self, first: int, path: str = "", above: int = 0) -> dict[str, bytes]:
        """Read all files; ``above`` is the first cluster that the entry ".." must name, 0 for the root."""
        files: dict[str, bytes] = {}
        name, marked = "", set()
        for (entry,) in struct.iter_unpack("32s", self.read(first)):
            if entry[0] == 0:
                break
            if entry[11] == 0x0F:
                name = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16le") + name
                marked.add(entry[13])
                continue
            short = entry[:8].rstrip().decode() + (("." + entry[8:11].decode().rstrip()).rstrip("."))
            named = name.partition("\0")[0].rstrip("\uffff") or short
            assert marked <= {checksum(entry[:11])}, (
                "a reader takes a long name of another checksum for stale"
            )
            name, marked = "", set()
            high, low = (struct.unpack_from("<H", entry, at)[0] for at in (20, 26))
            at = high << 16 | low
            if entry[11] & 0x08 or short in (".", ".."):
                assert at == {".": first, "..": above}.get(short, 0)
                continue
            if entry[11] & 0x10:
                files |= self.walk(at, f"{path}{named}/", first if path else 0)
            else:
                files[path + named] = self.read(at)[: struct.unpack_from("<I", entry, 28)[0]]
        return files


def checksum(short: bytes) -> int:
    total = 0
    for byte in short:
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    return total


FILES: dict[str, bytes | Path] = {
    "EFI/BOOT/BOOTX64.EFI": bytes(range(256)) * 300,
    "EFI/debian/grub.cfg": b"set timeout=0\n",
    "initrd": b"i" * SECTOR,
    "empty": b"",
    LONG: b"options quiet\n",
    "exactly13char": b"x",
    "EFI/debian/deep/er.txt": b"deep",
    **{f"many/file number {number}": str(number).encode() for number in range(40)},
}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    kernel = tmp_path / "k"
    kernel.write_bytes(b"kernel" * 5000)
    files = {**FILES, "vmlinuz": kernel}
    data = disk(files)
    fat = Fat(data[1 << 20 :])
    assert fat.walk(fat.root) == {**FILES, "vmlinuz": kernel.read_bytes()}
    assert data[(1 << 20) + 6 * SECTOR :][:SECTOR] == data[1 << 20 :][:SECTOR], "the backup boot sector"
    free, following = struct.unpack_from("<II", data, (1 << 20) + SECTOR + 488)
    used = sum(len(fat.chain(first)) for first in first_clusters(fat))
    assert (free, following) == (fat.clusters - used, used + 2)


def first_clusters(fat: Fat) -> list[int]:
    """Return every first cluster: one that no other cluster leads to."""
    table = struct.unpack_from(f"<{fat.clusters + 2}I", fat.data, fat.reserved * SECTOR)
    led_to = {entry for entry in table[2:] if entry < 0x0FFFFFF8}
    return [number for number in range(2, len(table)) if table[number] and number not in led_to]


def test_the_same_files_make_the_same_disk() -> None:
    assert disk(FILES) == disk(dict(reversed(FILES.items())))
    assert disk(FILES) != disk({**FILES, "empty": b"!"})


def test_the_partition_table() -> None:
    data = disk(FILES)
    assert (data[510:512], data[450]) == (b"\x55\xaa", 0xEE)
    for at, other in ((SECTOR, DISK - SECTOR), (DISK - SECTOR, SECTOR)):
        header = bytearray(data[at : at + 92])
        assert header[:8] == b"EFI PART"
        checksum, here, there = struct.unpack_from("<I4xQQ", header, 16)
        assert (here, there) == (at // SECTOR, other // SECTOR)
        struct.pack_into("<I", header, 16, 0)
        assert zlib.crc32(header) == checksum
        (table,) = struct.unpack_from("<Q", header, 72)
        assert zlib.crc32(data[table * SECTOR :][: 128 * 128]) == struct.unpack_from("<I", header, 88)[0]
        kind, _, first, last = struct.unpack_from("<16s16sQQ", data, table * SECTOR)
        assert uuid.UUID(bytes_le=kind) == uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
        assert (first, struct.unpack_from("<I", data, (1 << 20) + 32)[0]) == (2048, last - first + 1)


def test_too_small() -> None:
    needed = needed_sectors(FILES)
    assert needed == needed_sectors({}) > 65525, "fewer clusters make it FAT16"
    image = io.BytesIO()
    write_fat32(image, 0, needed, FILES, label="ESP", serial=1)
    with pytest.raises(TooSmallError) as caught:
        write_fat32(image, 0, needed - 1, FILES, label="ESP", serial=1)
    assert (caught.value.needed, caught.value.there) == (needed, needed - 1)
    large = needed_sectors({"large": bytes(40 << 20)})
    assert large > (40 << 20) // SECTOR
