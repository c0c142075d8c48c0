# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What pytest makes of a scenario's words and of the options that choose cells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import entry
from harness.run.cell_run import CellRun
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

EMULATED = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"
TWO = """\
name: two
description: which?
include:
  - {firmware: debian-2025.02, kernel: debian-5.10, memory: 2G, platform: snp}
  - {firmware: debian-2025.02, kernel: debian-6.1, memory: 2G, platform: plain}
"""
WHY = "reason: because, link: 'https://example.org/1'"
MANY = """\
name: many
description: which?
matrix:
  firmware: [debian-2025.02]
  kernel: [debian-5.10, debian-6.1]
  memory: [2G, 3G, 4G, 5G, 6G]
  platform: [snp, plain]
  vcpus: [1, 2, 3]
"""
"""60 cells, of which 15 have every pair."""


@pytest.fixture
def scenario(pytester: pytest.Pytester, stand_ins: Any) -> Callable[[str], Path]:
    """Write ``scenarios/s.yaml``."""
    assert stand_ins.booted == []
    path = pytester.mkdir("scenarios") / "s.yaml"

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write


def run(pytester: pytest.Pytester, *arguments: str | Path) -> tuple[pytest.RunResult, str]:
    """Run pytest in this process; a message for the user never has a traceback."""
    result = pytester.runpytest_inprocess(*(arguments or ("scenarios",)), "-ra")
    text = f"{result.stdout}\n{result.stderr}"
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return result, text


def known_bad(check: str, when: str = "platform: plain") -> str:
    return f"{TWO}known-bad:\n  - {{when: {{{when}}}, checks: [{check}], {WHY}, since: '6.1'}}\n"


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


@pytest.mark.parametrize(
    ("says", "outcome"), [("a plain guest speaks of SEV", "xfailed"), ("something else", "failed")]
)
def test_a_known_bad_check_fails_for_the_known_reason_alone(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path, says: str, outcome: str
) -> None:
    scenario(known_bad("no-sev").replace("since:", f"says: {says}, since:"))
    break_no_sev(records)
    result, text = run(pytester, "scenarios", "--replay", records)
    assert result.parseoutcomes()[outcome] == 1
    assert ("known-bad of scenarios/s.yaml" in text) == (outcome == "failed")


def test_a_known_bad_check_that_passes_fails_the_run(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(known_bad("no-sev"))
    result, text = run(pytester, "scenarios", "--replay", records)
    result.assert_outcomes(passed=result.parseoutcomes()["passed"], failed=1)
    assert "[XPASS(strict)] known bad since 6.1: because (https://example.org/1)" in text


@pytest.mark.parametrize(("says", "failed"), [("speaks of SEV", 0), ("active: AMD SEV", 0), ("is mute", 1)])
def test_known_bad_can_say_which_findings_it_excuses(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path, says: str, failed: int
) -> None:
    scenario(known_bad("no-sev").replace("reason:", f"says: '{says}', reason:"))
    break_no_sev(records)
    result, text = run(pytester, "scenarios", "--replay", records)
    assert result.parseoutcomes().get("failed", 0) == failed
    assert result.parseoutcomes().get("xfailed", 0) == 1 - failed
    if failed:
        assert "no-sev: a plain guest speaks of SEV" in text
        assert "known-bad of scenarios/s.yaml:7:5, but no finding says 'is mute'" in text


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
        assert (
            "not judged: the boot ended as hang in phase kernel: no console byte for 9 s; known bad" in text
        )


def test_known_bad_must_be_about_a_check_of_a_cell(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(known_bad("no-sev", "platform: snp"))
    result, text = run(pytester, "scenarios", "--collect-only")
    assert result.ret == pytest.ExitCode.INTERRUPTED
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
    assert result.ret == pytest.ExitCode.INTERRUPTED
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
    session = Session(Options(), tmp_path, lambda _line: None)
    emulated, plain = (session.run(it.cell, it.said) for it in session.select(session.plan(path)))
    assert emulated.expected.outcome == "refuses-to-boot"
    assert (plain.expected.outcome, plain.expected.because) == ("eager", "because")
    assert plain.expected.source == "https://example.org/1"
    assert emulated.expected.refused_by == "kernel"
    path.write_text(path.read_text().replace("platform: plain}", "platform: snp}"))
    other = Session(Options(), tmp_path, lambda _line: None)
    overridden = [other.run(it.cell, it.said).expected for it in other.select(other.plan(path))]
    assert [what.refused_by for what in overridden] == [None, None]
    names = {check.name for check in plain.checks}
    assert "accepted-before-kernel" in names
    assert "no-sev" not in names
    assert plain.seconds > emulated.seconds - 1


def test_a_cell_in_two_scenarios_boots_once_and_is_judged_by_each(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    path = scenario(TWO)
    path.with_name("t.yaml").write_text(known_bad("no-sev").replace("name: two", "name: three"))
    result, _ = run(pytester, "scenarios", "-k", "no-sev and plain")
    assert result.parseoutcomes()["passed"] == 1  # in s.yaml; in t.yaml it is known bad, and passes
    assert result.parseoutcomes()["failed"] == 1
    assert stand_ins.booted == [PLAIN]


def test_a_name_for_one_scenario(pytester: pytest.Pytester, scenario: Callable[[str], Path]) -> None:
    path = scenario(TWO)
    path.with_name("t.yaml").write_text(TWO)
    result, text = run(pytester, "scenarios", "--collect-only")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert f"scenarios/t.yaml:1:7: the name 'two' is taken by {path}" in text


def test_a_cell_that_the_host_lacks_something_for_is_skipped_and_says_so(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    scenario(f"{TWO}requires:\n  - {{when: {{platform: plain}}, memory: 1048576G}}\n  - {{cpus: 1}}\n")
    result, text = run(pytester)
    assert result.parseoutcomes()["skipped"] == 1
    assert re.search(r"needs 1048576G of memory, the host has \d+[MG], by scenarios/s.yaml:7:5", text)
    assert stand_ins.booted == [EMULATED]
    assert run(pytester, "scenarios", "-k", "requirements")[0].parseoutcomes() == {"skipped": 1}
    scenario(f"{TWO}requires: [{{platform: snp}}]\n")
    assert "needs hardware with SEV-SNP (there is no /dev/sev), by" in run(pytester)[1]
    scenario(f"{TWO}requires: [{{cpus: 99999}}]\n")
    assert re.search(r"needs 99999 processors, the host has \d+, by", run(pytester)[1])


def test_a_replay_asks_nothing_of_the_host(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(f"{TWO}requires: [{{cpus: 99999}}]\n")
    outcomes = run(pytester, "scenarios", "--replay", records)[0].parseoutcomes()
    assert set(outcomes) == {"passed"}


def collected(result: pytest.RunResult) -> list[str]:
    return list(dict.fromkeys(line.split("::")[1] for line in result.outlines if line.count("::") == 2))


@pytest.mark.parametrize(
    ("arguments", "cells", "said"),
    [
        ([], 15, "scenarios: 15 of 60 cells, every pair of axis values; --full runs all"),
        (["--full"], 60, "scenarios: 60 cells"),
        (["-k", "5.10"], 15, "scenarios: 15 of 30 cells, every pair of axis values; --full runs all"),
        (["-k", "5.10 and 2G"], 6, "scenarios: 6 cells"),
        (["-k", "5.10 and 2G and no-userspace"], 3, "scenarios: 3 cells"),
        (["--memory", "9G"], 12, "scenarios: 12 cells"),
        (["--platform", "plain", "--full"], 30, "scenarios: 30 cells"),
    ],
)
def test_options_choose_cells(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    arguments: list[str],
    cells: int,
    said: str,
) -> None:
    scenario(MANY)
    result, text = run(pytester, "scenarios", "--collect-only", *arguments)
    assert re.search(f"^{re.escape(said)}$", text, re.MULTILINE)
    quiet, _ = run(pytester, "scenarios", "--collect-only", "-q", *arguments)
    found = collected(quiet)
    assert len(found) == cells
    assert result.ret == 0


def test_a_cell_that_is_named_runs_whatever_the_selection(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(MANY)
    taken = collected(run(pytester, "scenarios", "--collect-only", "-q")[0])
    every = collected(run(pytester, "scenarios", "--collect-only", "-q", "--full")[0])
    left = next(cell for cell in every if cell not in taken)
    name = f"scenarios/s.yaml::{left}"
    assert collected(run(pytester, name, "--collect-only", "-q")[0]) == [left]
    one = run(pytester, f"{name}::no-alarms", "--collect-only", "-q")[0]
    assert collected(one) in ([left], [])  # some cells are not asked that
    assert collected(run(pytester, "scenarios", "-k", left, "--collect-only", "-q")[0])[0].startswith(left)


def test_selection_all(pytester: pytest.Pytester, scenario: Callable[[str], Path]) -> None:
    scenario(MANY.replace("matrix:", "selection: all\nmatrix:"))
    assert "scenarios: 60 cells\n" in run(pytester, "scenarios", "--collect-only")[1]


def test_selection_on_request(pytester: pytest.Pytester, scenario: Callable[[str], Path]) -> None:
    path = scenario(MANY.replace("matrix:", "selection: on-request\nmatrix:"))
    path.with_name("t.yaml").write_text(TWO)
    cells = {
        "scenarios": 2,
        "scenarios/t.yaml scenarios/s.yaml": 16,  # they share cells
        "scenarios --full": 60,
        "scenarios -k 5.10": 1,
        "scenarios/s.yaml -k 5.10": 15,
        "scenarios/s.yaml::debian-2025.02+debian-6.1+direct+3G+plain+2cpu": 1,
    }
    for arguments, count in cells.items():
        result, _ = run(pytester, *arguments.split(), "--collect-only", "-q")
        assert len(collected(result)) == count, arguments


def test_scenarios_in_folders(pytester: pytest.Pytester, scenario: Callable[[str], Path]) -> None:
    scenario(TWO)
    (pytester.path / "scenarios/family").mkdir()
    (pytester.path / "scenarios/family/t.yaml").write_text(TWO.replace("name: two", "name: three"))
    result, text = run(pytester, "scenarios", "--collect-only", "-q")
    assert "scenarios/family/t.yaml::" in text
    assert result.ret == 0


@pytest.mark.parametrize(("kernel", "cells"), [("debian-6.12", 1), ("efi-probe-eager", 2)])
def test_a_kernel_does_not_take_the_probes_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kernel: str, cells: int
) -> None:
    path = tmp_path / "s.yaml"
    text = TWO.replace("debian-5.10", "efi-probe-lazy")
    text = text.replace("debian-6.1, memory: 2G", "debian-6.1, memory: 3G")
    path.write_text(text)
    assert entry.main(["plan", str(path), "--kernel", kernel, "--format", "json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert [cell["kernel"] for cell in made["cells"]] == [kernel] * cells
    assert len(made["removed"]) == 2 - cells


def test_workers_choose_the_same_cells(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(TWO)
    result = pytester.runpytest_subprocess("scenarios", "-n1", "-v", "--replay", records)
    assert result.ret == 0
    cells = re.findall(r" PASSED [^:]*::([^:]*)::", str(result.stdout))
    assert list(dict.fromkeys(cells)) == [EMULATED, PLAIN]  # xdist would begin with the one of most items
    assert str(result.stdout).count("scenarios: 2 cells\n") == 1


@pytest.mark.usefixtures("scenario")
def test_workers_share_the_host(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import json
        from harness.pytest_plugin.plugin import SESSION

        def test_budget(request):
            budget = request.config.stash[SESSION].options.budget
            assert json.loads(budget.read_text())["capacity"][0] == 3
            print("budget", budget)
    """)
    result = pytester.runpytest_subprocess("-n1", "--boots", "3", "-rP")
    result.assert_outcomes(passed=1)
    where = re.search(r"^budget (.*)$", str(result.stdout), re.MULTILINE)
    assert where is not None
    assert not Path(where[1]).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kernel", "debian-6.11"], "unknown kernel 'debian-6.11'\n  did you mean"),
        (["--loader", "grb"], "unknown loader 'grb'"),
        (["--memory", "8"], "--memory: the memory size 8 has no unit; write 8M or 8G"),
        (["-k", "a and"], "Wrong expression passed to '-k'"),
    ],
)
def test_values_that_cannot_be(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario(TWO)
    monkeypatch.undo()  # real ingredients know all names
    result, text = run(pytester, "scenarios", "--collect-only", *arguments)
    assert result.ret != 0
    assert text.count(said) == 1


@pytest.mark.parametrize(("boots", "judged"), [("1", [PLAIN, EMULATED]), ("2", [EMULATED, PLAIN])])
def test_items_come_in_the_order_in_which_boots_end(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    stand_ins: Any,
    monkeypatch: pytest.MonkeyPatch,
    boots: str,
    judged: list[str],
) -> None:
    """The longest boot starts first, and what ends first is judged first."""
    scenario(TWO)
    length = property(lambda run: 20.0 if run.cell.id == PLAIN else 5.0)
    monkeypatch.setattr(CellRun, "seconds", length)
    result, _ = run(pytester, "scenarios", "-v", "--boots", boots)
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]
    assert boots != "1" or stand_ins.booted == [PLAIN, EMULATED]
    names = re.findall(r"s\.yaml::([^:]*)::", str(result.stdout))
    assert list(dict.fromkeys(names)) == judged
