# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Working trees, dirty as they are, are listed by content and never written to."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.store import file_tree
from harness.store.source_files import working_tree

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=True)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def age(root: Path) -> None:
    """Make files old enough for their times to be trusted."""
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (1e9, 1e9))


@pytest.fixture
def edk2(tmp_path: Path) -> Path:
    """Make a git tree with a submodule, both dirty."""
    sub, root = tmp_path / "sub", tmp_path / "edk2"
    for folder in (sub, root):
        folder.mkdir()
        git(folder, "init", "-q")
    write(sub, {"lib.c": "lib"})
    git(sub, "add", ".")
    git(sub, "commit", "-qm", "x")
    write(root, {"a.c": "a", "b.c": "b", "gone.c": "x", "old/x.c": "x", ".gitignore": "Build/\n*.o\n"})
    git(root, "submodule", "add", "-q", str(sub), "Crypto/sub")
    git(root, "add", ".")
    git(root, "commit", "-qm", "x")
    write(root, {"b.c": "changed", "new.c": "new", "Build/x": "", "a.o": "", "Crypto/sub/more.c": "more"})
    (root / "gone.c").unlink()
    file_tree.remove(root / "old")
    write(root, {"old": "a file by now"})
    (root / "link").symlink_to("a.c")
    return root


def test_a_git_tree_as_it_is(edk2: Path, tmp_path: Path) -> None:
    before = file_tree.digest_tree(edk2)
    found = working_tree(edk2, tmp_path / "memory.json")
    assert file_tree.digest_tree(edk2) == before
    assert {name: value for name, value in found.files.items() if not name.startswith(".")} == {
        "a.c": sha("a"),
        "b.c": sha("changed"),
        "new.c": sha("new"),
        "old": sha("a file by now"),
        "link": "link:a.c",
        "Crypto/sub/lib.c": sha("lib"),
        "Crypto/sub/more.c": sha("more"),
    }
    assert found.read("b.c") == b"changed"
    assert found.read("gone.c") is None


def test_a_plain_tree_without_what_builds_leave(tmp_path: Path) -> None:
    root = tmp_path / "edk2"
    write(root, {"a.c": "a", "d/b.c": "b", "Build/x.o": "x", "d/__pycache__/y.pyc": "y"})
    (root / "d/link").symlink_to("..")
    found = working_tree(root, tmp_path / "memory.json")
    assert dict(found.files) == {"a.c": sha("a"), "d/b.c": sha("b"), "d/link": "link:.."}


def test_the_digest_follows_paths_and_contents(tmp_path: Path) -> None:
    root, memory = tmp_path / "edk2", tmp_path / "memory.json"
    digests = set()
    for files in ({"a": "1"}, {"a": "2"}, {"b": "1"}):
        write(root, files)
        digests.add(working_tree(root, memory).digest)
    assert len(digests) == 3
    assert working_tree(root, memory).digest in digests


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, memory = tmp_path / "edk2", tmp_path / "memory.json"
    write(root, {"a": "1", "b": "2"})
    age(root)
    read: list[str] = []
    digest = file_tree.digest_file

    def counted(path: Path) -> str:
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr(file_tree, "digest_file", counted)
    first = working_tree(root, memory)
    assert working_tree(root, memory) == first
    assert read == ["a", "b"]
    write(root, {"b": "3"})  # of the same size
    os.utime(root / "b", (1e9, 1e9))  # and the same time: its change time still tells
    assert working_tree(root, memory).files["b"] == sha("3")
    assert read == ["a", "b", "b"]
    memory.write_text("{damaged")
    assert working_tree(root, memory).files == {"a": sha("1"), "b": sha("3")}


def test_young_files_are_read_each_time(tmp_path: Path) -> None:
    root, memory = tmp_path / "edk2", tmp_path / "memory.json"
    write(root, {"a": "1"})
    working_tree(root, memory)
    assert memory.exists() is False or "a" not in memory.read_text()


def test_what_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no such folder"):
        working_tree(tmp_path / "absent", tmp_path / "memory.json")
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(HarnessError, match="git cannot list"):
        working_tree(tmp_path, tmp_path / "memory.json")
