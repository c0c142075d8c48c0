# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run's folder: written by several, killed, cut short, of another version, found by words."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.results.folder import RESULTS, RUN, RunWriter, StoredRun, deciding, find_run
from harness.store.packing import pack, packed_file
from tests.support.data import PROJECT
from tests.support.runs import boot, check, end, finding, run_data, write_run

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    lines = (
        boot("c", measures={"accepted.firmware.pages": 17.0}),
        check("c", "x", "failed", findings=(finding("k", "says", "line 7", bytes=4096, of=("a", 1)),)),
        end(1),
    )
    stored = write_run(tmp_path, "r", *lines)
    assert stored.lines == lines
    assert (stored.boots, stored.checks, stored.end) == (lines[:1], lines[1:2], lines[2])
    assert not stored.is_green
    assert not stored.damaged
    assert stored.run == run_data("r")


def test_half_a_line_of_a_killed_writer(tmp_path: Path) -> None:
    """Only that line is lost, and the next writer goes on behind the last whole one."""
    write_run(tmp_path, "r", check("c", "one"))
    with (tmp_path / "r" / RESULTS).open("ab") as file:
        file.write(b'{"line":"check","cell":"c","chec')
    stored = StoredRun.load(tmp_path / "r")
    assert [line.check for line in stored.checks] == ["one"]
    assert stored.damaged == ("results.jsonl:2: half a line, the last",)
    RunWriter(tmp_path / "r").add(check("c", "two"))
    stored = StoredRun.load(tmp_path / "r")
    assert [line.check for line in stored.checks] == ["one", "two"]
    assert not stored.damaged


def test_several_writers_at_once(tmp_path: Path) -> None:
    write_run(tmp_path, "r")
    source = (
        "import sys; from pathlib import Path; from tests.support.runs import check;"
        "from harness.results.folder import RunWriter; writer = RunWriter(Path(sys.argv[1]));"
        "[writer.add(check('c' * 300, f'{sys.argv[2]}-{n}')) for n in range(200)]"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", source, str(tmp_path / "r"), str(number)], cwd=PROJECT)
        for number in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    stored = StoredRun.load(tmp_path / "r")
    assert not stored.damaged
    assert {line.check for line in stored.checks} == {f"{w}-{n}" for w in range(3) for n in range(200)}


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, "r", check("c", "one"))
    real = os.pwrite

    def part(descriptor: int, data: bytes, at: int) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:-50], at)

    monkeypatch.setattr(os, "pwrite", part)
    with pytest.raises(OSError, match="No space left"):
        RunWriter(tmp_path / "r").add(check("c", "two"))
    stored = StoredRun.load(tmp_path / "r")
    assert ([line.check for line in stored.checks], stored.damaged) == (["one"], ())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 99}, "schema version 99, this harness reads 1"),
        ({"project": "other"}, "not a run of ovmf-acceptance"),
        ({"host": 7}, "damaged: host"),
    ],
)
def test_a_run_that_cannot_be_read(tmp_path: Path, change: dict[str, object], said: str) -> None:
    write_run(tmp_path, "r")
    index = tmp_path / "r" / RUN
    index.write_text(json.dumps({**json.loads(index.read_text()), **change}))
    with pytest.raises(HarnessError, match=said):
        StoredRun.load(tmp_path / "r")
    index.write_text("[" * 100_000)
    with pytest.raises(HarnessError, match="cannot be read"):
        StoredRun.load(tmp_path / "r")


def test_damaged_lines_are_named_and_the_others_read(tmp_path: Path) -> None:
    write_run(tmp_path, "r", check("c", "one"))
    with (tmp_path / "r" / RESULTS).open("ab") as file:
        file.write(b"{}\nnonsense\n" + check("c", "two").model_dump_json().encode() + b"\n")
    stored = StoredRun.load(tmp_path / "r")
    assert [line.check for line in stored.checks] == ["one", "two"]
    assert [told.partition(": ")[0] for told in stored.damaged] == ["results.jsonl:2", "results.jsonl:3"]


def test_runs_by_word(tmp_path: Path) -> None:
    write_run(tmp_path, "0", check("c", "one", "not-asked"), end(0))
    write_run(tmp_path, "1", check("c", "one"), end(0))
    write_run(tmp_path, "2", end(1))
    write_run(tmp_path, "3", check("c", "one"), end(0), kind="replay")
    write_run(tmp_path, "4")
    (tmp_path / "5").mkdir()
    assert find_run("last", tmp_path).name == "4"
    assert find_run("last~1", tmp_path).name == "2"
    assert find_run("last-green", tmp_path).name == "1"
    assert find_run("2", tmp_path).name == "2"
    assert find_run("last", tmp_path, before=tmp_path / "4").name == "2"
    assert find_run("last-green", tmp_path, before=tmp_path / "2").name == "1"
    assert find_run(str(tmp_path / "3"), tmp_path).name == "3"
    with pytest.raises(HarnessError, match="there is no such run of scenarios that was green"):
        find_run("last-green~1", tmp_path)
    with pytest.raises(HarnessError, match=r"no run, there is no run\.json"):
        find_run(str(tmp_path / "5"), tmp_path)
    with pytest.raises(HarnessError, match="no such run below"):
        find_run("lst", tmp_path)


def test_an_attempt_that_failed_decides() -> None:
    lines = [
        check("c", "x"),
        check("c", "x", "failed", attempt=2),
        check("c", "x", attempt=3),
        check("c", "y"),
    ]
    lines += [check("c", "z", attempt=2), check("c", "z")]
    assert [(line.check, line.attempt) for line in deciding(lines)] == [("x", 2), ("y", 1), ("z", 2)]


def test_a_packed_run_reads_as_its_folder(tmp_path: Path) -> None:
    run = write_run(tmp_path, "run", boot("c"), check("c", "x"), end())
    pack(run.path, packed_file(run.path))
    shutil.rmtree(run.path)
    again = StoredRun.load(find_run(str(tmp_path / "run"), tmp_path))
    assert (again.run, again.lines) == (run.run, run.lines)
