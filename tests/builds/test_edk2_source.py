# SPDX-License-Identifier: BSD-2-Clause-Patent
"""edk2's sources from git repositories and working trees."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.artifacts.firmware.edk2_source import Edk2Source, edk2_source, tree_source
from harness.debian.archive import AptRoot
from harness.debian.lock_file import Lock
from harness.errors import HarnessError
from harness.recipes.firmware import FirmwareRecipe, FirmwareSource
from harness.store.entries import Store


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


class Repositories:
    """edk2 with a submodule that has one itself, all on this disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.edk2 = root / "edk2"
        self.store = Store(root / "store")
        for name, inner in (("deep", ""), ("crypto", "deep"), ("other", ""), ("edk2", "crypto")):
            folder = root / name
            folder.mkdir()
            git(folder, "init", "-q")
            (folder / f"{name}.c").write_text(name)
            if inner:
                git(folder, "submodule", "add", "-q", str(root / inner), f"{inner}.d")
            if name == "edk2":
                git(folder, "submodule", "add", "-q", str(root / "other"), "other.d")
            git(folder, "add", ".")
            git(folder, "commit", "-qm", name)
        self.first = git(self.edk2, "rev-parse", "HEAD")
        (self.edk2 / "edk2.c").write_text("later")
        git(self.edk2, "commit", "-qam", "later")
        self.second = git(self.edk2, "rev-parse", "HEAD")

    def source(self, **chosen: Any) -> Edk2Source:
        written = FirmwareSource.model_validate({"git": {"url": "edk2", **chosen}}, by_alias=True)
        recipe = FirmwareRecipe("x", written, folder=self.root)
        apt = AptRoot("http://127.0.0.1:9/debian", store=self.store, progress=lambda _line: None)
        return edk2_source(recipe, apt, Lock(Path("lock"), {}))


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return Repositories(tmp_path)


def names(source: Edk2Source) -> set[str]:
    return {name for name in source.open().files if not name.endswith(".gitmodules")}


def test_one_commit_with_all_submodules(repositories: Repositories) -> None:
    source = repositories.source(commit=repositories.first)
    tree = source.open()
    assert names(source) == {"edk2.c", "crypto.d/crypto.c", "crypto.d/deep.d/deep.c", "other.d/other.c"}
    assert tree.read("edk2.c") == b"edk2"  # not what the branch has by now
    assert not list(tree.root.rglob(".git"))
    assert repositories.source(commit=repositories.second).open().read("edk2.c") == b"later"


def test_some_submodules_or_none(repositories: Repositories) -> None:
    some = repositories.source(commit=repositories.first, submodules=("other.d",))
    assert names(some) == {"edk2.c", "other.d/other.c"}
    assert names(repositories.source(commit=repositories.first, submodules=False)) == {"edk2.c"}


def test_commits_share_a_line_but_not_their_content(repositories: Repositories) -> None:
    first, second = (
        repositories.source(commit=commit) for commit in (repositories.first, repositories.second)
    )
    assert first.line == second.line
    assert first.content != second.content


def test_what_is_fetched_once_needs_no_repository(repositories: Repositories) -> None:
    repositories.source(commit=repositories.first).open()
    repositories.edk2.rename(repositories.root / "gone")
    assert repositories.source(commit=repositories.first).open().read("edk2.c") == b"edk2"


def test_a_commit_that_is_not_there(repositories: Repositories) -> None:
    with pytest.raises(HarnessError) as caught:
        repositories.source(commit="0" * 40).open()
    assert "git checkout" in caught.value.what or "git fetch" in caught.value.what
    assert caught.value.hint == "check the recipe's url, commit, submodules"
    assert not list((repositories.root / "store").rglob("edk2.c"))


def test_a_working_tree_is_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine/BaseTools").mkdir(parents=True)
    (tmp_path / "mine/a.c").write_text("1")
    recipe = FirmwareRecipe("x", FirmwareSource.model_validate({"tree": {"path": "mine"}}), folder=tmp_path)
    apt, lock = AptRoot("http://127.0.0.1:9/debian"), Lock(Path("lock"), {})
    first = edk2_source(recipe, apt, lock)
    (tmp_path / "mine/a.c").write_text("2")
    second = edk2_source(recipe, apt, lock)
    assert first.line == second.line
    assert first.content != second.content
    assert second.open().root == tmp_path / "mine"


def test_a_folder_that_is_not_edk2_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/a.c").write_text("1")
    with pytest.raises(HarnessError, match="home: no edk2 sources"):
        tree_source(tmp_path / "home")
    assert not (tmp_path / "cache").exists()
