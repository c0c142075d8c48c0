# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The initramfs is a correct newc archive, and the same bytes each time."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.artifacts.guest.initramfs_files import build_initramfs
from harness.errors import HarnessError
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END
from harness.formats.cpio import CpioEntry, cpio_archive
from tests.support.data import PROJECT

OVERLAY = PROJECT / "guest-images" / "initramfs"


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    path = tmp_path / "busybox"
    path.write_bytes(b"\x7fELF" + bytes(1001))
    return path


def read_archive(data: bytes) -> dict[str, tuple[int, int, tuple[int, int], bytes]]:
    """Read newc by its specification: name -> (mode, inode, device, data)."""
    found: dict[str, tuple[int, int, tuple[int, int], bytes]] = {}
    place = 0
    while True:
        assert data[place : place + 6] == b"070701"
        fields = [int(data[place + 6 + 8 * n : place + 14 + 8 * n], 16) for n in range(13)]
        inode, mode, uid, gid, _links, mtime, size = fields[:7]
        name_size = fields[11]
        assert (uid, gid, mtime) == (0, 0, 0)
        name = data[place + 110 : place + 110 + name_size - 1].decode()
        body = place + (110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, inode, (fields[9], fields[10]), data[body : body + size])
        place = body + (size + 3) // 4 * 4


def test_content(busybox: Path, tmp_path: Path) -> None:
    out = tmp_path / "initramfs.cpio"
    build_initramfs(busybox, OVERLAY, out)
    files = read_archive(out.read_bytes())
    assert files["dev/console"][0] == 0o020600
    assert files["dev/console"][2] == (5, 1)
    assert files["bin/busybox"][3] == busybox.read_bytes()
    assert files["bin/sh"][0] == 0o120777
    assert files["bin/sh"][3] == b"busybox"
    assert files["init"][0] == 0o100755
    assert files["init"][3].startswith(b"#!/bin/busybox sh\n")
    inodes = [inode for _mode, inode, _device, _data in files.values()]
    assert len(set(inodes)) == len(inodes)
    names = list(files)
    assert all(names.index(name) > names.index(str(Path(name).parent)) for name in names if "/" in name)


def test_same_bytes_whatever_the_checkout(busybox: Path, tmp_path: Path) -> None:
    other = tmp_path / "overlay"
    shutil.copytree(OVERLAY, other)
    for path in other.iterdir():
        path.chmod(0o600)
        os.utime(path, (0, 0))
    build_initramfs(busybox, OVERLAY, tmp_path / "a")
    build_initramfs(busybox, other, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not list(tmp_path.glob(".a*"))


@pytest.mark.skipif(shutil.which("cpio") is None, reason="the host has no cpio to read the archive with")
def test_cpio_reads_it(busybox: Path, tmp_path: Path) -> None:
    build_initramfs(busybox, OVERLAY, tmp_path / "a")
    listed = subprocess.run(
        ["cpio", "-it"], input=(tmp_path / "a").read_bytes(), capture_output=True, check=True
    )
    assert {"init", "reporter", "dev/console"} <= set(listed.stdout.decode().split())


def test_padding() -> None:
    for size in range(5):
        archive = cpio_archive([CpioEntry("f", 0o100644, b"x" * size), CpioEntry("g", 0o100644, b"y")])
        assert len(archive) % 512 == 0
        assert read_archive(archive)["f"][3] == b"x" * size
        assert read_archive(archive)["g"][3] == b"y"


def test_not_a_program(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_text("#!/bin/sh\n")
    with pytest.raises(HarnessError, match="not an ELF program"):
        build_initramfs(tmp_path / "busybox", OVERLAY, tmp_path / "out")


def test_no_init(busybox: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match="has no file 'init'"):
        build_initramfs(busybox, tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_reporter_prints_the_sentinels_the_record_waits_for() -> None:
    reporter = (OVERLAY / "reporter").read_text()
    assert DOCUMENT_BEGIN in reporter
    assert DOCUMENT_END in reporter
