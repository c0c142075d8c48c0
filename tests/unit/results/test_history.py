# SPDX-License-Identifier: BSD-2-Clause-Patent
"""History: taken in from run folders, rebuilt when damaged, asked since when and never."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.results.history import FILE, History
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.model import Line, State


def nights(records: Path, *states: State) -> None:
    for number, state in enumerate(states, start=1):
        bad = state == "failed"
        told = (finding("memory-gone", "gone"),) if bad else ()
        lines: list[Line] = [boot("fw+k"), check("fw+k", "x", state, findings=told), check("fw+k", "y")]
        write_run(records, f"night-{number}", *lines, end(int(bad)))


def test_since_when_and_how_often(tmp_path: Path) -> None:
    nights(tmp_path, "failed", "passed", "failed", "failed")
    with History.open(tmp_path) as history:
        for about in ("fw+k", "fw", "x", "memory-gone", ""):
            (story,) = history.stories(about)
            assert (story.cell, story.check, story.failing_since) == ("fw+k", "x", "night-3")
            assert (story.failures.times, story.failures.of, story.changes) == (3, 4, 2)
        assert [story.check for story in history.stories("fw+k", every=True)] == ["x", "y"]
        assert history.stories("nothing") == []
        assert [(run.id, run.code, run.asked, run.bad) for run in history.runs(2)] == [
            ("night-4", 1, 2, 1),
            ("night-3", 1, 2, 1),
        ]


def test_it_follows_the_folders(tmp_path: Path) -> None:
    nights(tmp_path, "passed", "failed")
    with History.open(tmp_path) as history:
        assert len(history.runs()) == 2
    shutil.rmtree(tmp_path / "night-1")
    write_run(tmp_path, "night-3", check("fw+k", "x"), end())
    with History.open(tmp_path) as history:
        assert [run.id for run in history.runs()] == ["night-3", "night-2"]
        (story,) = history.stories("x")
        assert story.states == (("night-2", "failed"), ("night-3", "passed"))


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    nights(tmp_path, "failed")
    with History.open(tmp_path) as history:
        assert len(history.runs()) == 1
    (tmp_path / FILE).write_bytes(b"nonsense" * 1000)
    with History.open(tmp_path) as history:
        assert [story.check for story in history.stories("x")] == ["x"]


def test_a_run_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    nights(tmp_path, "passed")
    (tmp_path / "night-2").mkdir()
    (tmp_path / "night-2" / "run.json").write_text("{}")
    with History.open(tmp_path) as history:
        assert [run.id for run in history.runs()] == ["night-1"]


def test_never(tmp_path: Path) -> None:
    write_run(tmp_path, "1", boot("old"), check("old", "seldom"), end())
    nights(tmp_path, "passed")
    write_run(tmp_path, "replay", boot("other"), end(), kind="replay")
    with History.open(tmp_path) as history:
        found = history.never(
            ["fw+k", "old", "other"], [("firmware", "fw"), ("memory", "64G")], ["x", "seldom"], runs=1
        )
    assert (found.runs, found.cells, found.values, found.checks) == (
        ("night-1",),
        ("old", "other"),
        (("memory", "64G"),),
        ("seldom",),
    )


def test_three_thousand_answers_again_are_no_work(tmp_path: Path) -> None:
    lines = [check(f"cell-{n // 30}", f"check-{n % 30}") for n in range(3100)]
    write_run(tmp_path, "big", *lines, end())
    with History.open(tmp_path) as history:
        assert history.runs()[0].asked == 3100
    with History.open(tmp_path) as history:
        assert history.runs()[0].asked == 3100
