# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Scenarios and tests of somebody's own, run by xdist's workers: each is a process."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import ExitCode
from harness.results.folder import StoredRun
from tests.support.own_tests import HEAD, ON_EMULATED, ON_PLAIN
from tests.support.pytest_runs import EMULATED, EXPIRED, PLAIN, QUARANTINE, RECORDS, TWO, run

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_cell_stays_on_one_worker(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, records: Path
) -> None:
    scenario(TWO)
    result = pytester.runpytest_inprocess("scenarios", "-n2", "--replay", records, "-v")
    assert result.parseoutcomes().keys() == {"passed"}
    workers: dict[str, set[str]] = {}
    for worker, cell in re.findall(
        r"^\[(gw\d)\].* PASSED [^:]*::([^:]*)::", result.stdout.str(), re.MULTILINE
    ):
        workers.setdefault(cell, set()).add(worker)
    assert {cell: len(names) for cell, names in workers.items()} == {EMULATED: 1, PLAIN: 1}


def test_workers_leave_messages_to_their_controller(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, records: Path
) -> None:
    scenario(TWO)
    for arguments, said, code in (
        (["--require-platform", "snp", "--replay", records], "ERROR: --require-platform snp: no selected", 4),
        (["--replay", records.parent], f"ERROR: --replay {records.parent}: it holds no boot record", 4),
        (["--replay", "nowhere"], "ERROR: --replay nowhere: no such folder", 4),
        (
            ["--replay", records, "--cell", PLAIN, "--cell", f"{PLAIN}x"],
            f"ERROR: --cell {PLAIN}x: no cell of these",
            4,
        ),
        (["scenarios/wrong.yaml", "--replay", records], "scenarios/wrong.yaml:1:1: unknown key 'nane'", 4),
    ):
        (pytester.path / "scenarios/wrong.yaml").unlink(missing_ok=True)
        if "scenarios/wrong.yaml" in arguments:
            (pytester.path / "scenarios/wrong.yaml").write_text("nane: x\n")
        result = pytester.runpytest_inprocess("scenarios", "-n2", *arguments)
        assert result.ret == code
        text = f"{result.stdout}\n{result.stderr}"
        assert len(re.findall(f"^{re.escape(said)}", text, re.MULTILINE)) == 1
        assert "INTERNALERROR" not in text
        assert "Traceback" not in text


def test_workers_tell_their_controller_what_the_host_lacks(
    scenario: Callable[[str], Path], pytester: pytest.Pytester
) -> None:
    scenario(f"{TWO}requires: [{{cpus: 99999}}]\n")
    result = pytester.runpytest_inprocess("scenarios", "-n2")
    assert result.ret == ExitCode.HOST
    assert result.parseoutcomes()["skipped"] == 2
    said = "ERROR: this run judged nothing: the host lacks something for each of its 2 cells (needs 99999"
    assert result.stdout.str().count(said) == 1


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_mirror_without_packages_and_a_cold_cache(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    scenario(TWO)
    monkeypatch.setenv("HARNESS_CACHE", str(pytester.path / "cache"))
    monkeypatch.setenv("HARNESS_DEBIAN_MIRROR", f"file:{pytester.path}/mirror")
    result = pytester.runpytest_subprocess("scenarios", workers)
    assert result.ret == ExitCode.HOST
    assert (
        len(re.findall(r"^could not fetch the package index of trixie", str(result.stdout), re.MULTILINE))
        == 1
    )
    text = f"{result.stdout}\n{result.stderr}"
    assert re.search(r"^harness: fetching the package index of trixie$", text, re.MULTILINE)
    assert "Captured" not in text  # progress shows at once, not with the failure
    assert "Traceback" not in text
    assert not list((pytester.path / "cache").rglob(".tmp-*"))


def test_workers_choose_the_same_cells(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], records: Path
) -> None:
    scenario(TWO)
    result = pytester.runpytest_inprocess("scenarios", "-n1", "-v", "--replay", records)
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
    result = pytester.runpytest_inprocess("-n1", "--boots", "3", "-rP")
    result.assert_outcomes(passed=1)
    where = re.search(r"^budget (.*)$", str(result.stdout), re.MULTILINE)
    assert where is not None
    assert not Path(where[1]).exists()


def test_tests_of_one_cell_go_to_one_worker(pytester: pytest.Pytester, records: Path) -> None:
    """Another's own parameters do not hide that they share the cell."""
    code = (
        f"{ON_PLAIN}@pytest.mark.parametrize('n', range(4))\ndef test_one(record, n): assert record.cell\n"
        f"{ON_PLAIN}def test_two(check): check('no-sev')\n"
        f"{ON_EMULATED}def test_three(evidence): assert evidence.cell.platform == 'snp-emulated'\n"
    )
    pytester.makepyfile(test_own=HEAD + code)
    result = pytester.runpytest_inprocess("-n2", "--replay", records, "-v")
    result.assert_outcomes(passed=6)
    workers = re.findall(r"^\[(gw\d)\].* PASSED .*\[(.*\+plain)", result.stdout.str(), re.MULTILINE)
    assert len({worker for worker, _ in workers}) == 1


@pytest.mark.parametrize("option", ["--lf", "--ff"])
def test_what_failed_before(plain_failed: Path, pytester: pytest.Pytester, option: str) -> None:
    result, text = run(pytester, "scenarios", option, "--replay", plain_failed, "-n", "1", "-v")
    judged = [line for line in text.splitlines() if line.startswith("[gw0]")]
    assert f"FAILED scenarios/s.yaml::{PLAIN}::reaches-userspace" in judged[0]
    assert any(EMULATED in line for line in judged) == (option == "--ff")
    assert result.parseoutcomes()["failed"] == 1


ATTEMPTS = {"": "", "+attempt-2": "no console byte for 40 s", "+attempt-3": ""}


def test_a_replay_judges_the_attempts_that_there_are(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, edit_index: Callable[..., None]
) -> None:
    scenario(TWO)
    for name, hangs in ATTEMPTS.items():
        folder = shutil.copytree(RECORDS / PLAIN, pytester.path / "here" / f"{PLAIN}{name}")
        if hangs:
            edit_index(folder, kind="hang", detail=hangs)
    result, text = run(pytester, "scenarios", "--replay", "here", "--records", "there", "-n2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"flaky: {PLAIN}: reaches-userspace fails in 1 of 3" in text


def test_an_expired_entry_fails_a_green_run(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, records: Path
) -> None:
    scenario(TWO)
    (pytester.path / "quarantine.yaml").write_text(QUARANTINE.replace("UNTIL", "2020-01-01"))
    result = pytester.runpytest_inprocess("scenarios", "--replay", records, "-n1")
    assert result.ret == 1
    assert "failed" not in result.parseoutcomes()
    assert f"{EXPIRED} on 2020-01-01" in result.stdout.str()


def test_records_of_passed_boots_are_packed(
    scenario: Callable[[str], Path], pytester: pytest.Pytester
) -> None:
    """A replay writes no records, so the run that is replayed here gets its own by hand."""
    scenario(TWO)
    here = shutil.copytree(RECORDS, pytester.path / "here")
    pytester.runpytest_inprocess("scenarios", "--replay", "here", "--records", "here", "-n2")
    names = [f"{PLAIN}.tar.zst", f"{EMULATED}.tar.zst", "results.jsonl", "run.json"]
    assert sorted(path.name for path in here.iterdir()) == sorted(names)
    before = StoredRun.load(here)
    again = pytester.runpytest_inprocess("scenarios", "--replay", "here", "--records", "again", "-n2")
    assert again.ret == 0
    after = StoredRun.load(pytester.path / "again")
    answers = [[(line.check, line.scenario, line.state) for line in it.checks] for it in (before, after)]
    assert sorted(answers[0]) == sorted(answers[1])
