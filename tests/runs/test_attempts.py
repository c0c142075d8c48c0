# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A cell that boots several times: a boot that fails fails the check, and results give rates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.results.folder import StoredRun, deciding
from harness.run import boots
from harness.store.packing import open_file
from tests.support.pytest_runs import EMULATED, PLAIN, TWO, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.evidence.record import BootRecord


@pytest.fixture
def second_hangs(stand_ins: Any, edit_index: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second boot of the plain cell hang."""

    def boot(spec: Any, folder: Path, **words: Any) -> BootRecord:
        made: BootRecord = stand_ins.boot(spec, folder, **words)
        if folder.name == f"{PLAIN}+attempt-2":
            edit_index(folder, kind="hang", detail="no console byte for 40 s")
        return type(made).load(folder)

    monkeypatch.setattr(boots, "boot", boot)


def test_each_attempt_is_judged(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, stand_ins: Any, second_hangs: None
) -> None:
    del second_hangs
    scenario(TWO)
    result, text = run(pytester, "scenarios", "--attempts", "3", "--records", "here")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert sorted(stand_ins.booted) == sorted([PLAIN, EMULATED] * 3)
    assert "scenarios: 2 cells, 6 boots" in text
    assert f"{PLAIN}: completed in 2 of 3, 95 %: 9.43 to 99.2 %; hang in 1 of 3, 95 %: 0.84 to 90.6 %" in text
    assert f"flaky: {PLAIN}: reaches-userspace fails in 1 of 3, 95 %: 0.84 to 90.6 %" in text
    stored = StoredRun.load(pytester.path / "here")
    assert {(line.cell, line.attempt) for line in stored.boots} == {
        (cell, number) for cell in (PLAIN, EMULATED) for number in (1, 2, 3)
    }
    (decided,) = [
        line for line in deciding(stored.checks) if (line.cell, line.check) == (PLAIN, "reaches-userspace")
    ]
    assert (decided.attempt, decided.state, decided.record) == (2, "failed", f"{PLAIN}+attempt-2")
    with open_file(pytester.path / "here" / f"{PLAIN}+attempt-3" / "verdict.json") as file:
        verdict = json.load(file)
    assert (verdict["attempt"], {line["state"] for line in verdict["checks"]} & {"failed"}) == (3, set())


def test_a_replay_judges_the_attempts_that_there_are(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, second_hangs: None
) -> None:
    del second_hangs
    scenario(TWO)
    run(pytester, "scenarios", "--attempts", "3", "--records", "here")
    result, text = run(pytester, "scenarios", "--replay", "here", "--records", "there")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"flaky: {PLAIN}: reaches-userspace fails in 1 of 3" in text


@pytest.mark.parametrize("named", ["", "::reaches-userspace"])
def test_a_scenario_repeats_and_names_take_all_attempts(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, stand_ins: Any, named: str
) -> None:
    scenario(f"{TWO}repeat: 2\n")
    result, text = run(pytester, f"scenarios/s.yaml::{PLAIN}{named}", "--records", "here")
    assert result.ret == 0
    assert stand_ins.booted == [PLAIN, PLAIN]
    assert f"{PLAIN}: completed in 2 of 2" in text
    stand_ins.booted.clear()
    run(pytester, f"scenarios/s.yaml::{PLAIN}", "--attempts", "1")
    assert stand_ins.booted == [PLAIN]


def test_a_single_boot_tells_no_rate(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, stand_ins: Any
) -> None:
    scenario(TWO)
    _, text = run(pytester, "scenarios", "--records", "here")
    assert len(stand_ins.booted) == 2
    assert "repeated boots" not in text


@pytest.mark.parametrize("number", ["0", "-1", "x"])
def test_no_number_of_attempts(pytester: pytest.Pytester, number: str) -> None:
    result = pytester.runpytest_inprocess("--attempts", number)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--attempts*"])
