# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What pytest makes of known-bad checks and of expected outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ExitCode
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session
from tests.support.pytest_runs import PLAIN, TWO, WHY, known_bad, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def break_no_sev(records: Path) -> None:
    with (records / PLAIN / "serial.log").open("a") as log:
        log.write("[    0.5] Memory Encryption Features active: AMD SEV\r\n")


def test_a_known_bad_check_fails_as_told(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(known_bad("no-sev"))
    break_no_sev(records)
    result, text = run(pytester, "scenarios", "--replay", records)
    assert result.ret == 0
    result.assert_outcomes(passed=result.parseoutcomes()["passed"], xfailed=1)
    assert "no-sev - known bad since 6.1: because (https://example.org/1)" in text


def test_a_known_bad_check_that_passes_fails_the_run(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(known_bad("no-sev"))
    result, text = run(pytester, "scenarios", "--replay", records)
    result.assert_outcomes(passed=result.parseoutcomes()["passed"], failed=1)
    assert "[XPASS(strict)] known bad since 6.1: because (https://example.org/1)" in text


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("finding: speaks-of-sev", ""),
        ("shows: speaks of SEV", ""),
        ("shows: 'active: AMD SEV'", ""),
        ("finding: speaks-of-sev, shows: 'active: AMD SEV'", ""),
        ("finding: no-kernel", "no-kernel"),
        ("finding: speaks-of-sev, values: {bytes: 4096}", "speaks-of-sev with bytes 4096"),
        ("shows: is mute", "of any kind showing 'is mute'"),
    ],
)
def test_a_known_bad_check_fails_for_the_known_reason_alone(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path, rule: str, wanted: str
) -> None:
    scenario(known_bad("no-sev").replace("reason:", f"{rule}, reason:"))
    break_no_sev(records)
    result, text = run(pytester, "scenarios", "--replay", records)
    assert result.parseoutcomes().get("failed", 0) == bool(wanted)
    assert result.parseoutcomes().get("xfailed", 0) == (not wanted)
    if wanted:
        assert "no-sev: a plain guest speaks of SEV" in text
        assert f"known-bad of scenarios/s.yaml:7:5, but no finding is {wanted}" in text


def test_a_key_that_has_moved_says_its_new_name(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(known_bad("no-sev").replace("reason:", "says: x, reason:"))
    _, text = run(pytester, "scenarios", "--replay", records)
    assert "`says` is now `finding` (its kind), `values` and `shows`" in text


def test_known_bad_excuses_findings_only(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(known_bad("no-sev"))
    (records / PLAIN / "boot.json").unlink()
    result, text = run(pytester, "scenarios", "--replay", records, "-k", "no-sev")
    result.assert_outcomes(failed=1, deselected=result.parseoutcomes()["deselected"])
    assert "no boot.json, so an unfinished boot" in text


def test_a_guest_that_did_not_start_is_not_what_was_known(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(known_bad("reaches-userspace"))
    (records / PLAIN / "boot.json").unlink()
    result, text = run(pytester, "scenarios", "--replay", records, "-k", "no-sev and plain")
    assert result.parseoutcomes()["failed"] == 1
    assert "no boot.json, so an unfinished boot" in text


@pytest.mark.parametrize(
    ("selected", "outcomes"),
    [("plain", {"xfailed": 1}), ("reaches-userspace and plain", {"xfailed": 1}), ("no-sev and plain", {})],
)
def test_a_boot_that_is_known_to_end_wrongly(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    records: Path,
    edit_index: Callable[..., None],
    selected: str,
    outcomes: dict[str, int],
) -> None:
    scenario(known_bad("reaches-userspace"))
    edit_index(records / PLAIN, kind="hang", phase="kernel", detail="no console byte for 9 s")
    result, text = run(pytester, "scenarios", "--replay", records, "-k", selected)
    assert result.ret == 0
    told = result.parseoutcomes()
    assert told.get("xfailed", 0) == outcomes.get("xfailed", 0)
    assert "failed" not in told
    if not outcomes:
        assert "2.8 s after it began: no console byte for 9 s; known bad" in text


def test_known_bad_must_be_about_a_check_of_a_cell(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(known_bad("no-sev", "platform: snp"))
    result, text = run(pytester, "scenarios", "--collect-only")
    assert result.ret == ExitCode.MISTAKE
    said = "scenarios/s.yaml:7:5: known-bad: no-sev: asked of no cell that the rule is about"
    assert f"{said}\n  their checks are " in text
    # With a user's values, or some cells only, it cannot be known.
    for narrower in (["-k", "plain"], ["--platform", "plain"], ["--memory", "2G"]):
        assert run(pytester, "scenarios", "--collect-only", *narrower)[0].ret == 0


def test_what_the_model_says_anyway_is_not_expected(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(f"{TWO}expect:\n  - {{when: {{platform: plain}}, outcome: plain, {WHY}}}\n")
    result, text = run(pytester, "scenarios", "--collect-only")
    assert result.ret == ExitCode.MISTAKE
    assert "scenarios/s.yaml:7:5: expect: the rollout model says plain too\n  leave the rule out" in text
    assert run(pytester, "scenarios", "--collect-only", "-k", "emulated")[0].ret == 0


def test_known_bad_may_be_about_a_check_of_a_cell_that_is_not_taken(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(known_bad("no-sev", "memory: 2G"))
    assert run(pytester, "scenarios", "--collect-only", "-k", "emulated")[0].ret == 0
    assert run(pytester, "scenarios", "--collect-only")[0].ret == 0


def test_an_expected_outcome_takes_the_models_place(scenario: Callable[[str], Path], tmp_path: Path) -> None:
    path = scenario(f"{TWO}expect:\n  - {{when: {{platform: plain}}, outcome: eager, {WHY}}}\n")
    session = Session(Options(), find_project(tmp_path), lambda _line: None)
    emulated, plain = (session.run(it.cell, it.said) for it in session.select(session.plan(path)))
    assert emulated.expectation.outcome == "refuses-to-boot"
    assert (plain.expectation.outcome, plain.expectation.because) == ("eager", "because")
    assert plain.expectation.source == "https://example.org/1"
    assert emulated.expectation.refused_by == "kernel"
    path.write_text(path.read_text().replace("platform: plain}", "platform: snp}"))
    other = Session(Options(), find_project(tmp_path), lambda _line: None)
    overridden = [other.run(it.cell, it.said).expectation for it in other.select(other.plan(path))]
    assert [what.refused_by for what in overridden] == [None, None]
    names = {check.name for check in plain.checks}
    assert "accepted-before-kernel" in names
    assert "no-sev" not in names
    assert plain.seconds > emulated.seconds - 1
