# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The figures of bench/: goals, the file of a run, and what became worse since the last one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from bench import __main__ as bench
from bench.figures import RESULTS, Figure, tell
from harness.paths import SHIPPED

if TYPE_CHECKING:
    from pathlib import Path

MOST = Figure("ratio", 1.2, "", 1.15)
LEAST = Figure("busy", 0.9, "", 0.85, at_least=True)


def test_a_goal_holds_or_not() -> None:
    assert not MOST.holds
    assert LEAST.holds
    assert Figure("seen", 7.0, "s").holds
    assert str(MOST) == "ratio: 1.2; goal at most 1.15: DOES NOT HOLD"
    assert str(LEAST) == "busy: 0.9; goal at least 0.85: holds"
    assert str(Figure("seen", 7.0, "s")) == "seen: 7 s"


def test_a_told_figure_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(RESULTS, str(tmp_path / "figures"))
    assert not tell(MOST, "beside")
    assert tell(LEAST)
    assert capsys.readouterr().out.splitlines()[0].endswith("DOES NOT HOLD (beside)")
    kept = [Figure(**json.loads(line)) for line in (tmp_path / "figures").read_text().splitlines()]
    assert kept == [MOST, LEAST]


@pytest.mark.parametrize(
    ("before", "now", "worse"),
    [(1.0, 1.09, False), (1.0, 1.2, True), (1.2, 1.0, False)],
)
def test_what_changed_by_more_than_a_tenth_is_worse(before: float, now: float, worse: bool) -> None:
    assert bench.worse(Figure("f", now, "s"), Figure("f", before, "s")) is worse
    turned = Figure("f", now, "", at_least=True), Figure("f", before, "", at_least=True)
    assert bench.worse(*turned) is (before > now * 1.1)


def test_the_table_shows_what_was_before(tmp_path: Path) -> None:
    assert bench.newest(tmp_path) == {}
    for name, value in (("20260101", 0.5), ("20260102", 1.0)):
        figures = {"emulation: ratio": {"name": "ratio", "value": value, "unit": ""}}
        (tmp_path / f"{name}.json").write_text(json.dumps({"figures": figures}))
    console = Console(width=100, record=True)
    console.print(bench.table({"emulation: ratio": MOST, "matrix: busy": LEAST}, bench.newest(tmp_path)))
    rows = [line.split("│")[1:-1] for line in console.export_text().splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["emulation: ratio", "1.2", "1", "≤ 1.15", "misses its goal, worse than before"],
        ["matrix: busy", "0.9", "", "≥ 0.85", ""],
    ]


def test_every_group_is_a_module_and_every_module_a_group() -> None:
    modules = {path.stem for path in (SHIPPED / "bench").glob("*.py")}
    # instructions has no goal: it explains one
    shared = {"__main__", "figures", "measure", "instructions", "disk"}
    assert {*bench.GROUPS, *bench.ON_REQUEST} == modules - shared
