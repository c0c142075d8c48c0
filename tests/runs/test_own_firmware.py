# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A user's firmware in the place of a scenario's: what is known of that one is shown, and excuses nothing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from harness.results.folder import StoredRun
from tests.support.pytest_runs import PLAIN, TWO, known_bad, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OURS = "stock-2025.02"
BASE = "debian-2025.02"
CELL = PLAIN.replace(BASE, OURS)
KNOWN = f"known in firmware {BASE}, by scenarios/s.yaml:7:5: because (https://example.org/1)"


def break_no_sev(record: Path) -> None:
    with (record / "serial.log").open("a") as log:
        log.write("[    0.5] Memory Encryption Features active: AMD SEV\r\n")


@pytest.fixture
def ours(scenario: Callable[[str], Path], records: Path) -> Path:
    """Give the record of the user's firmware, which has the fault that the scenario knows of the other."""
    scenario(known_bad("no-sev", when=f"{{firmware: {BASE}, platform: plain}}".strip("{}")))
    path = shutil.copytree(records / PLAIN, records / CELL)
    break_no_sev(path)
    return path


def test_what_is_known_of_the_firmware_in_its_place_is_said(
    ours: Path, pytester: pytest.Pytester, records: Path
) -> None:
    result, text = run(
        pytester, "scenarios", "--replay", records, "--firmware", OURS, "--records", "here", "-k", "plain"
    )
    assert result.ret == 1
    assert KNOWN in text.replace(f"{pytester.path}/", "")
    assert "what may be behind the failures" in text
    assert f"  in {CELL}" in text
    failed = [line for line in StoredRun.load(pytester.path / "here").checks if line.state == "failed"]
    assert [line.check for line in failed] == ["no-sev"]
    assert failed[0].known_in.startswith(f"known in firmware {BASE}, by ")
    with (ours / "serial.log").open("a") as log:
        log.write("[    0.6] BUG: kernel NULL pointer dereference, address: 0\r\n")
    _, text = run(pytester, "scenarios", "--replay", records, "--firmware", OURS, "-k", "plain")
    order = [text.index(words) for words in ("1. no-alarms: ", "2. no-sev: ")]
    assert order == sorted(order), "what is known nowhere comes first"


@pytest.mark.parametrize("same", [True, False])
def test_a_build_is_judged_relative_to_another(
    ours: Path, pytester: pytest.Pytester, records: Path, same: bool
) -> None:
    assert ours.is_dir()
    if same:
        break_no_sev(records / PLAIN)
    result, text = run(
        pytester,
        *("scenarios", "--replay", records, "--firmware", OURS, "--against", BASE, "-k", "plain"),
        *("--records", "here"),
    )
    stored = StoredRun.load(pytester.path / "here")
    (line,) = [line for line in stored.checks if line.check == "no-sev"]
    assert {boot.cell for boot in stored.boots} == {CELL, PLAIN}
    if same:
        assert result.ret == 0
        assert result.parseoutcomes()["xfailed"] == 1
        assert line.state == "known-bad"
        assert line.reason == f"the same in {BASE}: a plain guest speaks of SEV"
    else:
        assert result.ret == 1
        assert line.state == "failed"
        assert f"new: {BASE} passes" in text


def test_cells_are_named_with_the_firmware_that_is_in_its_place(
    scenario: Callable[[str], Path], pytester: pytest.Pytester
) -> None:
    scenario(TWO)
    words = ["scenarios", "--firmware", OURS, "--collect-only", "-q"]
    for named in (f"firmware={OURS},platform=plain", CELL):
        result, text = run(pytester, *words, "--cell", named)
        assert result.ret == 0
        assert f"scenarios/s.yaml::{CELL}::unmade" in text
        assert "scenarios: 1 cell" in text


def test_against_a_firmware_that_is_not_there(ours: Path, pytester: pytest.Pytester, records: Path) -> None:
    assert ours.is_dir()
    result, text = run(pytester, "scenarios", "--replay", records, "--firmware", OURS, "--against", "debain")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "debain" in text
