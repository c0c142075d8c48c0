# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Records that are taken over: whole, marked, and apart from where they came from."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from harness.results.carried import CARRIED, carried_from, take_over
from harness.results.folder import VERDICT
from harness.store.packing import pack, packed_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "old" / "cell"
    folder.mkdir(parents=True)
    for name in ("boot.json", VERDICT):
        (folder / name).write_text(name)
    return folder


def test_files_are_shared_and_the_verdict_stays(record: Path, tmp_path: Path) -> None:
    copy = tmp_path / "new" / "cell"
    take_over(record, copy, "old")
    assert sorted(path.name for path in copy.iterdir()) == ["boot.json", CARRIED]
    assert (copy / "boot.json").samefile(record / "boot.json")
    assert (carried_from(copy), carried_from(record)) == ("old", "")
    assert (record / VERDICT).exists()
    assert [path.name for path in copy.parent.iterdir()] == ["cell"]


def test_another_file_system(record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    take_over(record, tmp_path / "new" / "cell", "old")
    assert (tmp_path / "new" / "cell" / "boot.json").read_text() == "boot.json"
    assert not (tmp_path / "new" / "cell" / "boot.json").samefile(record / "boot.json")


def test_a_packed_record(record: Path, tmp_path: Path) -> None:
    pack(record, packed_file(record))
    for path in record.iterdir():
        path.unlink()
    record.rmdir()
    copy = tmp_path / "new" / "cell"
    take_over(record, copy, "old")
    assert sorted(path.name for path in copy.iterdir()) == ["boot.json", CARRIED]
    pack(copy, packed_file(copy))
    (copy / CARRIED).unlink()
    (copy / "boot.json").unlink()
    copy.rmdir()
    assert carried_from(copy) == "old"


def test_a_chain_names_who_booted(record: Path, tmp_path: Path) -> None:
    take_over(record, tmp_path / "second" / "cell", "old")
    take_over(tmp_path / "second" / "cell", tmp_path / "third" / "cell", "second")
    assert carried_from(tmp_path / "third" / "cell") == "old"


def test_a_full_disk_leaves_nothing(record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.results.carried.write_json", full)
    with pytest.raises(OSError, match="No space left"):
        take_over(record, tmp_path / "new" / "cell", "old")
    assert not list((tmp_path / "new").iterdir())
