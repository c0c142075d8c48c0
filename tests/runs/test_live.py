# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a run shows while it goes on: on a terminal below pytest's output, elsewhere as plain lines."""

from __future__ import annotations

import io
import os
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin import live
from harness.pytest_plugin.below import Below
from harness.pytest_plugin.live import Now, look
from tests.support.pytest_runs import EMULATED, PLAIN, TWO
from tests.support.screen import screen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_what_a_run_is_at(tmp_path: Path) -> None:
    began = 1_000_000.0
    for number, name in enumerate(("done", "long", "short", "judged", "no-boot")):
        (tmp_path / name).mkdir()
        if name != "no-boot":
            (tmp_path / name / "traits.json").touch()
            os.utime(tmp_path / name / "traits.json", (began + number, began + number))
    (tmp_path / "done/boot.json").touch()
    (tmp_path / "packed.tar.zst").touch()
    (tmp_path / "results.jsonl").touch()
    now = look(tmp_path, 9, ["judged"], ["bad"], began + 30)
    assert now == Now(2, 9, (("long", 29.0), ("short", 28.0)), ("bad",))
    assert str(now) == "2 of 9 boots; 1 failed, the last is bad; now long (29 s), short (28 s)"
    assert look(tmp_path / "none", 9, [], [], began) == Now(0, 9, (), ())


def test_boots_that_no_scenario_names_count() -> None:
    assert str(Now(3, 2, (("own", 0.0),), ())) == "3 of 4 boots; now own (0 s)"


def test_as_many_names_as_fit() -> None:
    now = Now(0, 9, (("long", 2.0), ("short", 1.0), ("last", 1.0)), ("bad",))
    assert now.told(200) == str(now)
    assert now.told(70) == "0 of 9 boots; 1 failed, the last is bad; now long (2 s) and 2 more"
    assert now.told(62) == "0 of 9 boots; 1 failed; now long (2 s), short (1 s) and 1 more"
    assert now.told(5) == "0 of 9 boots; 1 failed; now long (2 s) and 2 more"


def test_a_line_below_what_pytest_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    file.write("scenarios/a.yaml ..")
    line = "1 of 9 boots; now a-cell-with-a-name-that-is-longer-than-the-terminal (3 s)"
    below = Below(file, lambda _: line, "scenarios/a.yaml ..")
    below.live.auto_refresh = False
    below.start()
    assert screen(file.getvalue(), 40) == ["scenarios/a.yaml ..", line[:35] + "…"]
    assert below.write("\x1b[32m.\x1b[0m") == 10
    below.live.refresh()
    assert screen(file.getvalue(), 40) == ["scenarios/a.yaml ...", line[:35] + "…"]
    below.write(" [ 50%]\nscenarios/b.yaml ")
    below.live.refresh()
    assert screen(file.getvalue(), 40) == [
        "scenarios/a.yaml ... [ 50%]",
        "scenarios/b.yaml",
        line[:35] + "…",
    ]
    below.stop()
    below._file.write(".\n")
    left = [told for told in screen(file.getvalue(), 40) if told]
    assert left == ["scenarios/a.yaml ... [ 50%]", "scenarios/b.yaml ."]


@pytest.fixture
def looks(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    stand_ins: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> list[Now]:
    """Give what the looks of the run have seen that a test starts; each boot lasts until one has seen it."""
    scenario(TWO)
    seen: list[Now] = []

    def looked(records: Path, *arguments: Any) -> Now:
        now = look(records, *arguments)
        if records.is_relative_to(pytester.path):  # and not those of the run that this test is in
            seen.append(now)
        return now

    def wait() -> None:
        cell, give_up = stand_ins.booted[-1], time.monotonic() + 60
        while time.monotonic() < give_up and cell not in {name for now in [*seen] for name, _ in now.booting}:
            time.sleep(0.01)

    stand_ins.in_boot = wait
    monkeypatch.setattr(live, "look", looked)
    monkeypatch.setattr(live, "_LOOK", 0.01)
    monkeypatch.setattr(live, "_PLAIN", 0.0)
    return seen


def test_plain_lines(pytester: pytest.Pytester, looks: list[Now]) -> None:
    result = pytester.runpytest_inprocess("scenarios", "--records", "here", "--boots", "1")
    assert "failed" not in result.parseoutcomes()
    lines = [line for line in result.outlines if re.match(r"harness: \d of 2 boots; ", line)]
    assert any(EMULATED in line for line in lines)
    assert any(PLAIN in line for line in lines)
    assert len(lines) <= len([now for now in looks if now.booting])


def test_each_attempt_is_a_boot(pytester: pytest.Pytester, looks: list[Now]) -> None:
    pytester.runpytest_inprocess("scenarios", "--records", "here", "--boots", "1", "--attempts", "2")
    assert {now.wanted for now in looks} == {4}


def test_nothing_is_left_on_a_terminal(
    pytester: pytest.Pytester, looks: list[Now], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.Watcher, "_may_draw", lambda _: True)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    result = pytester.runpytest_inprocess("scenarios", "--records", "here", "--boots", "1")
    assert looks
    written = str(result.stdout)
    assert re.search(r"\d of 2 boots; now debian", written)
    left = screen(written, 161)
    assert not [line for line in left if " boots; " in line]
    assert any(re.fullmatch(r"scenarios/s\.yaml \.+ +\[100%\]", line) for line in left)


@pytest.mark.parametrize("option", ["--collect-only", "--replay=stored"])
def test_runs_without_boots_show_nothing(
    pytester: pytest.Pytester, looks: list[Now], option: str, records: Path
) -> None:
    shutil.copytree(records, pytester.path / "stored")
    pytester.runpytest_inprocess("scenarios", "--records", "here", option)
    assert looks == []


def test_the_debugger_has_the_terminal_alone(pytester: pytest.Pytester, looks: list[Now]) -> None:
    code = (
        "import pytest\n"
        '@pytest.mark.cell(kernel="debian-6.1", memory="2G", platform="plain")\n'
        "def test_own(record, request):\n"
        "    request.config.hook.pytest_enter_pdb(config=request.config, pdb=None)\n"
        "    from harness.pytest_plugin.live import LIVE\n"
        "    assert not request.config.stash[LIVE]._thread.is_alive()\n"
    )
    pytester.makepyfile(test_own=code)
    pytester.runpytest_inprocess("test_own.py", "--records", "here").assert_outcomes(passed=1)
    assert looks
