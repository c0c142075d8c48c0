# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What of the cache goes: what nobody has used for long, and never what somebody uses."""

from __future__ import annotations

import json
import mmap
import os
import time
from typing import TYPE_CHECKING

import pytest

from harness.cli.entry import main
from harness.store.entries import Artifact, Store
from harness.store.locks import held
from harness.store.pruning import last_used, prune, unused

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0


def fill(directory: Path) -> None:
    (directory / "file").write_bytes(b"x" * 10_000)


def get(cache: Path, name: str) -> Artifact:
    return Store(cache / "store").get("kind", name, {"name": name}, fill, lambda _line: None)


def grow_old(cache: Path, days: float) -> None:
    then = time.time() - days * DAY
    for path in cache.rglob("*"):
        os.utime(path, (then, then))


def names(cache: Path, days: float) -> list[str]:
    return [it.path.name for it in unused(cache, days * DAY)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for folder in ("edk2/debug-1/source", "apt/bookworm-1/var", "logs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "logs/qemu-build.log").write_text("built\n")
    (tmp_path / "edk2/.debug-1.lock").touch()
    get(tmp_path, "old")
    grow_old(tmp_path, 100)
    return tmp_path


def test_what_nobody_has_used(cache: Path) -> None:
    new = get(cache, "new")
    old = next((cache / "store/kind").glob("old-*"))
    assert set(names(cache, 60)) == {old.name, "debug-1", "bookworm-1", "qemu-build.log"}
    assert names(cache, 101) == []
    for found in unused(cache, 60 * DAY):
        assert found.age == pytest.approx(100 * DAY, rel=0.01)
        assert prune(found)
    assert new.path.is_dir()
    left = [path.name for path in (cache / "store/kind").iterdir() if "old" in path.name]
    assert [name for name in left if not name.endswith(".lock")] == []
    assert not [
        *(cache / "edk2").glob("debug-*"),
        *(cache / "apt").glob("book*"),
        *(cache / "logs").iterdir(),
    ]
    assert names(cache, 60) == []


def test_who_uses_an_entry_keeps_it(cache: Path) -> None:
    old = get(cache, "old")
    assert time.time() - last_used(old.path) < DAY
    assert old.path.name not in names(cache, 60)


def test_who_builds_in_a_work_tree_keeps_it(cache: Path) -> None:
    with held(cache / "edk2/.debug-1.lock", "a build", lambda _line: None):
        pass
    assert "debug-1" not in names(cache, 60)


@pytest.mark.parametrize("how", ["open", "mapped", "folder"])
def test_what_a_process_has_open_stays(cache: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = next((cache / "store/kind").glob("old-*"))
    if how == "folder":
        monkeypatch.chdir(old)
        assert old.name not in names(cache, 60)
        return
    with (old / "file").open("rb") as file:
        if how == "open":
            assert old.name not in names(cache, 60)
            return
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert old.name not in names(cache, 60)
    mapped.close()
    assert old.name in names(cache, 60)


def test_what_is_locked_stays(cache: Path) -> None:
    old = next((cache / "store/kind").glob("old-*"))
    (found,) = [it for it in unused(cache, 60 * DAY) if it.path == old]
    lock = old.with_name(f".{old.name}.lock")
    with held(lock, "it", lambda _line: None):
        grow_old(cache, 100)
        assert old.name not in names(cache, 60)
        assert not prune(found)
    assert (old / "file").is_file()


def test_used_between_the_look_and_the_removal(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = next((cache / "store/kind").glob("old-*"))
    (found,) = [it for it in unused(cache, 60 * DAY) if it.path == old]
    rename = type(old).rename

    def used(path: Path, target: Path) -> Path:
        os.utime(old.with_name(f".{old.name}.seal"))
        return rename(path, target)

    monkeypatch.setattr("pathlib.Path.rename", used)
    assert not prune(found)
    assert (old / "file").is_file()
    assert get(cache, "old").path == old


def test_what_a_killed_build_has_left(cache: Path) -> None:
    left = cache / "store/kind/.tmp-old-0123456789abcdef.xyz"
    left.mkdir()
    (found,) = [it for it in unused(cache, 60 * DAY) if it.path == left]
    with held(cache / "store/kind/.old-0123456789abcdef.lock", "it", lambda _line: None):
        assert left.name not in names(cache, 60)
        assert not prune(found)
    assert prune(found)
    assert not left.exists()


def test_the_command(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    assert main(["cache", "prune", "--unused", "12h"]) == 4
    assert "give 1d or more" in capsys.readouterr().err
    assert main(["cache", "prune", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "edk2/debug-1: " in told
    assert "100 days" in told
    assert f"4 of {cache} would go, " in told
    assert (cache / "edk2/debug-1").is_dir()
    assert main(["cache", "prune", "--dry-run", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["unused-days"] for row in rows} == {100}
    assert next(row for row in rows if row["bytes"] >= 10_000)["path"].startswith(
        str(cache / "store/kind/old-")
    )
    assert main(["cache", "prune"]) == 0
    assert f"4 of {cache} removed, " in capsys.readouterr().out
    assert not (cache / "edk2/debug-1").exists()
