# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from harness.debian import source
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from tests.support.deb_repo import DebRepo

FIRST = """\
Description: change a line, add a file, empty another
--- a/main.c
+++ b/main.c
@@ -1,2 +1,2 @@
-one
+ONE
 two
--- /dev/null
+++ b/new/file.c
@@ -0,0 +1 @@
+added
--- a/gone.c
+++ /dev/null
@@ -1 +0,0 @@
-gone
"""
SECOND = """\
--- a/main.c
+++ b/main.c
@@ -1,2 +1,2 @@
 ONE
-two
+TWO
"""
TARBALLS = {
    "tool_1.0.orig.tar.gz": {
        "tool-1.0/main.c": "one\ntwo\n",
        "tool-1.0/gone.c": "gone\n",
        "tool-1.0/debian/upstream-has-its-own": "x\n",
        "tool-1.0/extra/replaced": "x\n",
    },
    "tool_1.0.orig-extra.tar.gz": {"extra-7/data": "extra\n"},
    "tool_1.0-1.debian.tar.gz": {
        "debian/source/format": "3.0 (quilt)\n",
        "debian/changelog": "tool (1.0-1) one; urgency=low\n",
        "debian/rules": "#!/usr/bin/make -f\n",
        "debian/patches/series": "# comment\nfirst.patch\nsecond.patch -p1 # why\n",
        "debian/patches/first.patch": FIRST,
        "debian/patches/second.patch": SECOND,
    },
}


def contents(tree: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(tree)): (path.read_bytes(), path.stat().st_mode)
        for path in tree.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def dsc(repo: DebRepo) -> Path:
    path = repo.add_source("tool", "1.0-1", TARBALLS)
    repo.publish()
    return path


def test_tree(dsc: Path, apt: AptRoot, tmp_path: Path) -> None:
    fetched = source.source(apt, "tool", "1.0-1", suite="one")
    assert (fetched.path / dsc.name).is_file()
    source.unpack(fetched, tmp_path / "tree")
    files = contents(tmp_path / "tree")
    assert files["main.c"][0] == b"ONE\nTWO\n"
    assert files["new/file.c"][0] == b"added\n"
    assert files["extra/data"][0] == b"extra\n"
    assert files["debian/rules"][1] & 0o111 == 0o111
    assert {"gone.c", "extra/replaced", "debian/upstream-has-its-own"}.isdisjoint(files)
    assert {path.name for path in tmp_path.iterdir()}.isdisjoint(TARBALLS)


def test_same_tree_without_the_dsc(
    dsc: Path, apt: AptRoot, new_apt: Callable[..., AptRoot], tmp_path: Path, said: list[str]
) -> None:
    source.unpack(source.source(apt, "tool", "1.0-1"), tmp_path / "with")
    shutil.rmtree(tmp_path / "store")
    dsc.unlink()
    fetched = source.source(new_apt(), "tool", "1.0-1")
    assert not list(fetched.path.glob("*.dsc"))
    assert any(f"{dsc.name} is not on the mirror" in line for line in said)
    source.unpack(fetched, tmp_path / "without")
    assert contents(tmp_path / "without") == contents(tmp_path / "with")


def test_skipped_patches(dsc: Path, apt: AptRoot, tmp_path: Path) -> None:
    fetched = source.source(apt, "tool", "1.0-1")
    source.unpack(fetched, tmp_path / "tree", ("second.patch",))
    assert (tmp_path / "tree/main.c").read_text() == "ONE\ntwo\n"
    with pytest.raises(HarnessError, match=r"series has no third\.patch\n.*first\.patch, second\.patch"):
        source.unpack(fetched, tmp_path / "other", ("third.patch",))
    # the second depends on the first: no fuzz, a clear word
    with pytest.raises(HarnessError, match=r"second\.patch failed"):
        source.unpack(fetched, tmp_path / "third", ("first.patch",))
    assert dsc.is_file()


@pytest.mark.parametrize("broken", ["tool_1.0.orig.tar.gz", "tool_1.0-1.dsc"])
def test_damaged_file(repo: DebRepo, dsc: Path, apt: AptRoot, broken: str, tmp_path: Path) -> None:
    with (repo.pool("tool") / broken).open("r+b") as file:
        file.seek(20)
        file.write(b"\xff")
    with pytest.raises(HarnessError, match=f"could not fetch {broken}.*Hash Sum mismatch"):
        source.source(apt, "tool", "1.0-1")
    assert dsc.is_file()
    assert not [path for path in (tmp_path / "store/deb-source").iterdir() if path.is_dir()]


def test_missing_tarball(repo: DebRepo, dsc: Path, apt: AptRoot) -> None:
    (repo.pool("tool") / "tool_1.0-1.debian.tar.gz").unlink()
    with pytest.raises(HarnessError, match=r"could not fetch tool_1\.0-1\.debian\.tar\.gz"):
        source.source(apt, "tool", "1.0-1")
    assert dsc.is_file()


def test_locked_source(dsc: Path, apt: AptRoot) -> None:
    with pytest.raises(HarnessError, match="another SHA-256"):
        source.source(apt, "tool", "1.0-1", suite="one", sha256="0" * 64)
    with pytest.raises(HarnessError, match=r"tool 0\.9-1 is not .* newest is tool 1\.0-1"):
        source.source(apt, "tool", "0.9-1", suite="one")
    assert dsc.is_file()


def test_found_in_a_later_suite(repo: DebRepo, apt: AptRoot) -> None:
    repo.add_source("tool", "1.0-1", TARBALLS, suite="two")
    repo.publish()
    assert source.source(apt, "tool", "1.0-1").path.is_dir()


def test_warm_source_needs_no_archive(repo: DebRepo, dsc: Path, apt: AptRoot) -> None:
    first = source.source(apt, "tool", "1.0-1")
    shutil.rmtree(repo.root)
    assert not dsc.exists()
    assert source.source(apt, "tool", "1.0-1") == first


def test_series() -> None:
    assert source.series("\n# x\na.patch\n  b/c.diff -p1\n#d\n") == ["a.patch", "b/c.diff"]
