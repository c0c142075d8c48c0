# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The patched QEMU as a git tree: made from patches and files, and written back to them."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.artifacts import qemu_tree
from harness.artifacts.qemu_tree import export_tree, make_tree
from harness.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = {"cpu.c": "int a;\nint b;\nint c;\n", "debian/control": "Source: qemu\n", "build.txt": "one\n"}
AUTHOR = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")


def git(tree: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *AUTHOR, "-C", str(tree), *words], check=True, capture_output=True, text=True
    )
    return done.stdout


def commit(tree: Path, subject: str, **files: str) -> None:
    for name, text in files.items():
        path = tree / name.replace("__", "/").replace("_c", ".c")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", subject)


def contents(folder: Path) -> dict[str, str]:
    return {str(it.relative_to(folder)): it.read_text() for it in folder.rglob("*") if it.is_file()}


@pytest.fixture(autouse=True)
def small_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(_recipe: object, _apt: object, _lock: object, tree: Path) -> None:
        for name, text in SOURCE.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)

    monkeypatch.setattr(qemu_tree, "unpack_source", unpack)


def make(folder: Path, tree: Path) -> Path:
    recipe, apt = SimpleNamespace(package="qemu"), SimpleNamespace(progress=lambda _line: None)
    make_tree(cast("Any", recipe), cast("Any", apt), cast("Any", None), folder, tree)
    return tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one file and two patches, as an export wrote them."""
    folder = tmp_path / "qemu-builds"
    (folder / "files/emu").mkdir(parents=True)
    (folder / "files/emu/own.c").write_text("int own;\n")
    tree = make(folder, tmp_path / "first")
    commit(tree, "cpu: a is another\n\nBecause.", cpu_c="int z;\nint b;\nint c;\n")
    commit(tree, "cpu: c is another", cpu_c="int z;\nint b;\nint y;\n")
    export_tree(tree, folder)
    return folder


def test_a_tree_has_a_commit_a_patch(folder: Path, tmp_path: Path) -> None:
    tree = make(folder, tmp_path / "tree")
    said = git(tree, "log", "--format=%s by %an", "own-files..HEAD").splitlines()
    assert said == ["cpu: c is another by Somebody", "cpu: a is another by Somebody"]
    assert (tree / "cpu.c").read_text() == "int z;\nint b;\nint y;\n"
    assert (tree / "emu/own.c").read_text() == "int own;\n"


def test_a_tree_that_nobody_changed_comes_back_as_it_was(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    assert sorted(before) == [
        "files/emu/own.c",
        "patches/0001-cpu-a-is-another.patch",
        "patches/0002-cpu-c-is-another.patch",
    ]
    assert export_tree(make(folder, tmp_path / "tree"), folder) == ()
    assert contents(folder) == before


def test_commits_come_back_as_patches_and_files(folder: Path, tmp_path: Path) -> None:
    tree = make(folder, tmp_path / "tree")
    commit(tree, "emu: more", emu__own_c="int own, more;\n", emu__new_c="int new;\n")
    commit(tree, "build: two", **{"build.txt": "two\n"})
    assert export_tree(tree, folder) == (
        "files/emu/new.c",
        "files/emu/own.c",
        "patches/0003-build-two.patch",
    )
    found = contents(folder)
    assert found["files/emu/own.c"] == "int own, more;\n"
    assert "From 0000000" in found["patches/0003-build-two.patch"]
    git(tree, "rm", "--quiet", "emu/own.c")
    git(tree, "commit", "--quiet", "--message", "emu: no longer")
    assert export_tree(tree, folder) == ("files/emu/own.c",)
    assert "files/emu/own.c" not in contents(folder)


def test_a_commit_of_both_is_split(folder: Path, tmp_path: Path) -> None:
    tree = make(folder, tmp_path / "tree")
    commit(tree, "both", emu__own_c="int own, more;\n", **{"build.txt": "two\n"})
    assert export_tree(tree, folder) == ("files/emu/own.c", "patches/0003-both.patch")
    assert "own.c" not in contents(folder)["patches/0003-both.patch"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("edit", "changes that are in no commit: cpu.c"),
        ("new", "changes that are in no commit: emu/forgotten.c"),
        ("fixup", "a commit that belongs to another: fixup! cpu: c is another"),
    ],
)
def test_what_is_half_done_is_refused(change: str, said: str, folder: Path, tmp_path: Path) -> None:
    tree, before = make(folder, tmp_path / "tree"), contents(folder)
    if change == "new":
        (tree / "emu/forgotten.c").write_text("")
    else:
        (tree / "cpu.c").write_text("int z;\nint b;\nint x;\n")
    if change == "fixup":
        git(tree, "commit", "--quiet", "--all", "--fixup=HEAD")
    with pytest.raises(HarnessError, match=said):
        export_tree(tree, folder)
    assert contents(folder) == before


def test_what_a_build_leaves_is_no_change(folder: Path, tmp_path: Path) -> None:
    tree = make(folder, tmp_path / "tree")
    (tree / "build").mkdir()
    (tree / "build/qemu-system-x86_64").write_text("")
    assert export_tree(tree, folder) == ()


def test_other_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="is no tree of `harness qemu tree`"):
        export_tree(tmp_path, folder)
    with pytest.raises(HarnessError, match="exists already"):
        make(folder, tmp_path)


def test_a_patch_that_does_not_apply_is_named_and_the_tree_stays(folder: Path, tmp_path: Path) -> None:
    first = folder / "patches/0001-cpu-a-is-another.patch"
    first.write_text(first.read_text().replace("-int a;", "-int other;"))
    with pytest.raises(HarnessError) as caught:
        make(folder, tmp_path / "tree")
    assert str(caught.value).startswith("0001-cpu-a-is-another.patch does not apply: ")
    assert "git am --continue" in str(caught.value)
    assert (tmp_path / "tree/.git/rebase-apply").is_dir()
