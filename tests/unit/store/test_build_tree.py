# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Warm work trees: sources follow, times tell make the truth, and what a dead build left is not trusted."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.store.build_tree import WorkTree
from harness.store.source_files import SourceTree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODULE = "Build/Ovmf/DEBUG_GCC/X64/Pkg/Driver/Driver"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tick() -> None:
    """Let the clock of file times, which ticks every few ms, move on."""
    time.sleep(0.02)


class Bench:
    """Pristine sources, and the work tree that follows them."""

    def __init__(self, root: Path) -> None:
        self.origin = root / "origin"
        self.work = WorkTree(root / "work")
        self.write({"a.c": b"a", "d/b.h": b"b", "tool.sh": b"#!"})
        (self.origin / "tool.sh").chmod(0o755)

    def write(self, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            (self.origin / name).parent.mkdir(parents=True, exist_ok=True)
            (self.origin / name).write_bytes(data)

    @property
    def tree(self) -> SourceTree:
        files = {
            path.relative_to(self.origin).as_posix(): f"link:{path.readlink()}"
            if path.is_symlink()
            else sha(path.read_bytes())
            for path in self.origin.rglob("*")
            if path.is_symlink() or path.is_file()
        }
        return SourceTree(self.origin, files)

    def prepare(self, overlay: Mapping[str, bytes | None] | None = None) -> int:
        with self.work.prepared(self.tree, overlay or {}) as changed:
            return len(changed)

    def die(self, overlay: Mapping[str, bytes | None] | None = None, **made: bytes) -> None:
        """Prepare, build a few outputs, and do not come to the end."""
        tick()
        with contextlib.suppress(KeyboardInterrupt), self.work.prepared(self.tree, overlay or {}):
            self.build(**made)
            raise KeyboardInterrupt

    def build(self, **made: bytes) -> None:
        for name, data in made.items():
            path = self.work.source / MODULE / "OUTPUT" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (self.work.source / MODULE / "GNUmakefile").touch()
            path.write_bytes(data)

    def content(self) -> dict[str, bytes]:
        root = self.work.source
        return {
            path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }

    def times(self) -> dict[str, int]:
        return {name: (self.work.source / name).stat().st_mtime_ns for name in self.content()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_first_fill(bench: Bench) -> None:
    (bench.origin / "link").symlink_to("d/b.h")
    assert bench.prepare({"new.c": b"new", "a.c": b"patched", "d/b.h": None}) == 4
    assert bench.work.source.joinpath("link").is_symlink()
    bench.work.source.joinpath("link").unlink()
    assert bench.content() == {"a.c": b"patched", "tool.sh": b"#!", "new.c": b"new"}
    assert os.access(bench.work.source / "tool.sh", os.X_OK)


def test_only_what_differs_is_written(bench: Bench) -> None:
    bench.prepare({"a.c": b"one"})
    before = bench.times()
    assert bench.prepare({"a.c": b"two"}) == 1
    after = bench.times()
    assert [name for name in after if after[name] != before[name]] == ["a.c"]
    assert after["a.c"] > before["a.c"]
    assert bench.prepare({"a.c": b"two"}) == 0
    assert bench.times() == after
    assert bench.prepare() == 1
    assert bench.content()["a.c"] == b"a"


def test_files_that_a_patch_made_or_removed(bench: Bench) -> None:
    bench.prepare({"new/x.h": b"x", "d/b.h": None})
    assert bench.prepare({"d/b.h": b"b", "new": b"a file now"}) == 3
    assert bench.content() == {"a.c": b"a", "d/b.h": b"b", "tool.sh": b"#!", "new": b"a file now"}
    assert bench.prepare({"a.c/now.c": b"a folder now", "a.c": None}) == 3
    assert bench.content()["a.c/now.c"] == b"a folder now"


def test_sources_that_were_edited_are_put_right(bench: Bench) -> None:
    bench.prepare()
    (bench.work.source / "a.c").write_bytes(b"edited by hand")
    (bench.work.source / "d/b.h").unlink()
    (bench.work.source / "tool.sh").touch()  # same content: not written again
    times = bench.times()
    assert bench.prepare() == 2
    assert bench.content() == {"a.c": b"a", "d/b.h": b"b", "tool.sh": b"#!"}
    assert bench.times()["tool.sh"] == times["tool.sh"]


def test_outputs_stay_after_a_good_end(bench: Bench) -> None:
    with bench.work.prepared(bench.tree, {}):
        bench.build(**{"a.obj": b"whole"})
    bench.prepare({"a.c": b"other"})
    assert bench.content()[f"{MODULE}/OUTPUT/a.obj"] == b"whole"


def test_outputs_of_a_dead_build_go_with_their_module(bench: Bench) -> None:
    with bench.work.prepared(bench.tree, {}):
        bench.build(**{"old.obj": b"whole"})
        other = bench.work.source / "Build/Ovmf/DEBUG_GCC/X64/Pkg/Other"
        other.mkdir(parents=True)
        (other / "GNUmakefile").touch()
        (other / "kept.obj").touch()
        (other / "AutoGenTimeStamp").touch()
        (bench.work.source / "Tools").mkdir()
        (bench.work.source / "Tools/kept.o").touch()
    bench.die({"a.c": b"new"}, **{"half.obj": b"hal"})
    (bench.work.source / "Tools/half.o").touch()
    (other / "AutoGenTimeStamp").touch()  # makefiles are generated before anything is compiled
    (bench.work.source / "Build/Ovmf/DEBUG_GCC/X64/half.efi").touch()
    bench.prepare({"a.c": b"new"})
    left = [name for name in bench.content() if name.startswith(("Build", "Tools"))]
    assert sorted(left) == [
        "Build/Ovmf/DEBUG_GCC/X64/Pkg/Other/GNUmakefile",
        "Build/Ovmf/DEBUG_GCC/X64/Pkg/Other/kept.obj",
        "Tools/kept.o",
    ]


def test_sources_written_before_death_stay_younger_than_old_outputs(bench: Bench) -> None:
    """What died after it had written B: whether A or B is wanted next, make sees a younger source."""
    with bench.work.prepared(bench.tree, {}):
        bench.build(**{"a.obj": b"of A"})
    bench.die({"a.c": b"B"})
    for overlay in ({"a.c": b"B"}, {}):
        bench.prepare(overlay)
        times = bench.times()
        assert times["a.c"] > times[f"{MODULE}/OUTPUT/a.obj"]


def test_death_while_sources_are_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.prepare()
    write = WorkTree._write

    def dies_at_second(self: WorkTree, name: str, *rest: object) -> None:
        if name == "z.c":
            (self.source / name).write_bytes(b"hal")
            raise KeyboardInterrupt
        write(self, name, *rest)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(WorkTree, "_write", dies_at_second)
    with pytest.raises(KeyboardInterrupt):
        bench.prepare({"a.c": b"B", "y.c": b"y", "z.c": b"half"})
    monkeypatch.undo()
    assert bench.prepare() == 3
    assert bench.content() == {"a.c": b"a", "d/b.h": b"b", "tool.sh": b"#!"}


def test_death_in_the_first_fill_begins_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkTree, "_save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        bench.prepare()
    monkeypatch.undo()
    (bench.work.source / "stray").touch()
    assert bench.prepare() == 3
    assert "stray" not in bench.content()


def test_a_damaged_state_begins_anew(bench: Bench) -> None:
    bench.prepare()
    (bench.work.root / "state.json").write_text('{"a.c": 3}')
    (bench.work.source / "stray").touch()
    assert bench.prepare() == 3
    assert "stray" not in bench.content()


def test_a_source_that_changes_while_it_is_read(bench: Bench) -> None:
    seen = bench.tree
    bench.write({"a.c": b"saved just now"})
    with (
        pytest.raises(HarnessError, match=r"a\.c was changed while it was read"),
        bench.work.prepared(seen, {}),
    ):
        pass


@pytest.mark.faults
def test_a_killed_make_does_not_poison_the_next_one(tmp_path: Path) -> None:
    """The same with a real make and SIGKILL: half an output, younger than its source, is made anew."""
    bench = Bench(tmp_path)
    bench.write(
        {
            "Makefile": b"all: Build/m/one.obj Build/m/two.obj\n"
            b"Build/m/%.obj: %.c\n\tmkdir -p Build/m; touch Build/m/GNUmakefile; ./cc $< $@\n",
            "one.c": b"1",
            "two.c": b"2",
            "cc": b"#!/bin/sh\nprintf half >$2; [ ! -e hang ] || { touch hanging; sleep 60; }; cat $1 >$2\n",
        }
    )
    (bench.origin / "cc").chmod(0o755)
    source = bench.work.source

    def built(overlay: Mapping[str, bytes | None]) -> dict[str, bytes]:
        with bench.work.prepared(bench.tree, overlay):
            subprocess.run(["make", "-s"], cwd=source, check=True)
        return {path.stem: path.read_bytes() for path in source.glob("Build/m/*.obj")}

    assert built({}) == {"one": b"1", "two": b"2"}
    tick()
    with contextlib.suppress(KeyboardInterrupt), bench.work.prepared(bench.tree, {"two.c": b"II"}):
        (source / "hang").touch()
        make = subprocess.Popen(["make", "-s"], cwd=source, start_new_session=True)
        while not (source / "hanging").exists():
            time.sleep(0.01)
        os.killpg(make.pid, 9)
        make.wait()
        (source / "hang").unlink()
        raise KeyboardInterrupt
    assert (source / "Build/m/two.obj").read_bytes() == b"half"
    assert built({"two.c": b"II"}) == {"one": b"1", "two": b"II"}
    assert built({}) == {"one": b"1", "two": b"2"}


def test_outputs_are_whole_until_a_build_dies(bench: Bench) -> None:
    """Only then does a builder know what changed since."""
    with bench.work.prepared(bench.tree, {}):
        bench.work.whole.touch()
    with bench.work.prepared(bench.tree, {"a.c": b"other"}) as changed:
        assert bench.work.whole.exists()
        assert changed == {"a.c"}
    bench.die({"a.c": b"new"})
    with bench.work.prepared(bench.tree, {"a.c": b"new"}):
        assert not bench.work.whole.exists()
