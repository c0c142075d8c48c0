# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Packed folders: there and back, the same bytes each time, and what somebody might put in one to harm."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from harness.errors import HarnessError
from harness.store import packing
from harness.store.numbers_apart import apart
from harness.store.packing import (
    SUFFIX,
    holds_file,
    is_there,
    open_file,
    pack,
    packed_file,
    unpack,
    unpacked_name,
)
from tests.support.data import DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EMULATED = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"


def files(folder: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_there_and_back(tmp_path: Path) -> None:
    folder = shutil.copytree(DATA / "records" / EMULATED, tmp_path / "record")
    (folder / "deep").mkdir()
    (folder / "deep/ü name").write_bytes(b"x" * 100_000)
    (folder / "command.sh").write_text("#!/bin/sh\n")
    (folder / "command.sh").chmod(0o755)
    (folder / "link").symlink_to("/etc/passwd")
    pack(folder, tmp_path / "one.tar.zst")
    (folder / "boot.json").touch()
    pack(folder, tmp_path / "two.tar.zst")
    assert (tmp_path / "one.tar.zst").read_bytes() == (tmp_path / "two.tar.zst").read_bytes()
    unpack(tmp_path / "one.tar.zst", tmp_path / "back")
    (folder / "link").unlink()
    assert files(tmp_path / "back") == files(folder)
    assert not list(tmp_path.glob(".*"))


def test_tar_reads_it(tmp_path: Path) -> None:
    """An independent reader: GNU tar and zstd."""
    pack(DATA / "records" / EMULATED, tmp_path / "one.tar.zst")
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "--zstd", "-xf", tmp_path / "one.tar.zst", "-C", tmp_path / "out"], check=True)
    assert files(tmp_path / "out") == files(DATA / "records" / EMULATED)


LEDGER = b"".join(b'{"t":%d,"gpa":%d,"op":"validate"}\n' % (n * 61_007, n << 21) for n in range(20_000))


def test_a_large_ledger_is_small_and_reads_as_it_was(tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.mkdir()
    (record / "ledger.jsonl").write_bytes(LEDGER)
    (record / "notes.txt").write_bytes(LEDGER)
    pack(record, packed_file(record))
    assert packed_file(record).stat().st_size < 20_000 + len(zstandard.compress(LEDGER, 9))
    unpack(packed_file(record), tmp_path / "back")
    assert files(tmp_path / "back") == files(record)
    shutil.rmtree(record)
    assert holds_file(record / "ledger.jsonl")
    assert not holds_file(record / "ledger.jsonl.apart")
    with open_file(record / "ledger.jsonl") as file:
        assert file.read() == LEDGER


def test_a_text_that_grows_when_its_numbers_are_apart_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_APART_FROM", 1)
    monkeypatch.setattr(packing, "_APART_TO", 1 << 10)
    record = tmp_path / "record"
    record.mkdir()
    (record / "ledger.jsonl").write_bytes(b"1\n" * 500)
    pack(record, packed_file(record))
    unpack(packed_file(record), tmp_path / "back")
    assert files(tmp_path / "back") == files(record)


def test_a_ledger_of_numbers_apart_takes_no_more_than_it_may(tmp_path: Path) -> None:
    told = apart(LEDGER)
    assert told is not None
    one = packed(tmp_path / "one.tar.zst", member("ledger.jsonl.apart", told))
    with pytest.raises(HarnessError, match=r"becomes more than \d+ bytes"):
        unpack(one, tmp_path / "back", most_bytes=len(told) + 1000)
    damaged = packed(tmp_path / "two.tar.zst", member("ledger.jsonl.apart", told[:-5]))
    with pytest.raises(HarnessError, match="numbers apart"):
        unpack(damaged, tmp_path / "back")

    large = packed(tmp_path / "large.tar.zst", member("ledger.jsonl.apart", bytes((64 << 20) + 1)))
    with pytest.raises(HarnessError, match="has 67108865 bytes"):
        unpack(large, tmp_path / "back")

    def both(archive: tarfile.TarFile) -> None:
        member("a")(archive)
        member("a.apart", told)(archive)

    twice = packed(tmp_path / "three.tar.zst", both)
    with pytest.raises(HarnessError, match="a is in it twice"):
        unpack(twice, tmp_path / "back")


def packed(path: Path, fill: Callable[[tarfile.TarFile], None]) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        fill(archive)
    path.write_bytes(zstandard.compress(raw.getvalue()))
    return path


def member(name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE) -> Callable[[tarfile.TarFile], None]:
    def fill(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        info.size = len(data) if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(data))

    return fill


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (member("../out"), "leads out of the folder"),
        (member("/etc/x"), "leads out of the folder"),
        (member("a/../../b"), "leads out of the folder"),
        (member("a\\b"), "leads out of the folder"),
        (member("link", kind=tarfile.SYMTYPE), "no regular file"),
        (member("link", kind=tarfile.LNKTYPE), "no regular file"),
        (member("dev", kind=tarfile.CHRTYPE), "no regular file"),
        (member("fifo", kind=tarfile.FIFOTYPE), "no regular file"),
        (member("big", bytes(5000)), "more than a packed folder may hold"),
        (lambda archive: [member("same")(archive), member("same")(archive)], "is in it twice"),
        (lambda archive: [member("a")(archive), member("a/b")(archive)], "cannot be unpacked|is in it twice"),
    ],
    ids=[
        "up",
        "absolute",
        "through",
        "backslash",
        "symlink",
        "hardlink",
        "device",
        "fifo",
        "big",
        "twice",
        "below-a-file",
    ],
)
def test_what_is_made_to_harm(tmp_path: Path, fill: Callable[[tarfile.TarFile], None], said: str) -> None:
    capsule = packed(tmp_path / f"evil{SUFFIX}", fill)
    with pytest.raises(HarnessError, match=said):
        unpack(capsule, tmp_path / "in/out", most_bytes=4096)
    assert [path.name for path in tmp_path.iterdir() if path.name != capsule.name] == ["in"]
    assert not list((tmp_path / "in").iterdir())


def test_a_bomb_of_zeros(tmp_path: Path) -> None:
    """What unpacks to much more than it is stops at the limit, and a window too large is refused."""
    capsule = packed(tmp_path / f"bomb{SUFFIX}", member("zeros", bytes(64 << 20)))
    assert capsule.stat().st_size < 100_000
    with pytest.raises(HarnessError, match="more than a packed folder may hold"):
        unpack(capsule, tmp_path / "out", most_bytes=1 << 20)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda _: b"nonsense", lambda _: b""],
    ids=["cut", "other", "empty"],
)
def test_damaged_files(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    pack(DATA / "records" / EMULATED, tmp_path / "one.tar.zst")
    (tmp_path / "one.tar.zst").write_bytes(damage((tmp_path / "one.tar.zst").read_bytes()))
    with pytest.raises(HarnessError, match="cannot be unpacked"):
        unpack(tmp_path / "one.tar.zst", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", range(1, 16))
def test_a_file_that_is_cut_anywhere(tmp_path: Path, part: int) -> None:
    """Also where the end of a member is missing, which shows when somebody reads it (blocks of 128 KiB)."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/noise").write_bytes(random.Random(1).randbytes(600_000))  # noqa: S311  # the same ones
    (tmp_path / "folder/zeros").write_bytes(bytes(100_000))
    whole = tmp_path / "folder.tar.zst"
    pack(tmp_path / "folder", whole)
    shutil.rmtree(tmp_path / "folder")
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * part // 16])
    with pytest.raises(HarnessError, match="cannot be unpacked"):
        unpack(whole, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [whole.name]
    with pytest.raises(HarnessError, match="cannot be unpacked"):
        open_file(tmp_path / "folder/noise")


def test_files_of_a_packed_folder(tmp_path: Path) -> None:
    folder = tmp_path / "record"
    folder.mkdir()
    (folder / "one").write_bytes(b"1")
    assert is_there(folder)
    pack(folder, packed_file(folder))
    shutil.rmtree(folder)
    assert is_there(folder)
    assert unpacked_name(packed_file(folder)) == unpacked_name(folder) == "record"
    with open_file(folder / "one") as file:
        assert file.read() == b"1"
    assert holds_file(folder / "one")
    assert not holds_file(folder / "two")
    with pytest.raises(FileNotFoundError):
        open_file(folder / "two")
    packed_file(folder).write_bytes(b"nonsense")
    with pytest.raises(HarnessError, match=r"record\.tar\.zst: cannot be unpacked"):
        open_file(folder / "one")


def test_what_is_no_regular_file_is_not_there(tmp_path: Path) -> None:
    """A pipe that nobody fills would never be read to its end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        assert not holds_file(tmp_path / name)
        with pytest.raises(FileNotFoundError):
            open_file(tmp_path / name)


def test_neither_folder_nor_file(tmp_path: Path) -> None:
    assert not is_there(tmp_path / "none")
    assert not holds_file(tmp_path / "none" / "one")
