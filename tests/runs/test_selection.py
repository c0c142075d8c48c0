# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What pytest makes of a scenario's words and of the options that choose cells."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import entry
from harness.errors import ExitCode
from harness.run.cell_run import CellRun
from tests.support.pytest_runs import EMULATED, PLAIN, TWO, known_bad, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    assert result.ret == ExitCode.MISTAKE
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
    assert "needs platform snp (there is no /dev/sev), by" in run(pytester)[1]
    scenario(f"{TWO}requires: [{{cpus: 99999}}]\n")
    assert re.search(r"needs 99999 processors, the host has \d+, by", run(pytester)[1])


def test_a_run_whose_every_cell_lacks_something_judged_nothing(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    """Tests that have no cell judge no cell either, whatever comes of them."""
    scenario(f"{TWO}requires: [{{when: {{platform: plain}}, cpus: 77777}}, {{cpus: 99999}}]\n")
    pytester.makepyfile("def test_other(): pass")
    result, text = run(pytester, "scenarios", ".")
    assert result.ret == ExitCode.HOST
    assert result.parseoutcomes() == {"passed": 1, "skipped": 2}
    said = (
        r"^ERROR: this run judged nothing: the host lacks something for each of its 2 cells \(needs \d+ "
        r"processors, the host has \d+, by scenarios/s.yaml:6:\d+; something else for 1 cell\)\n  `harness"
    )
    assert len(re.findall(said, text, re.MULTILINE)) == 1
    assert stand_ins.booted == []


@pytest.mark.usefixtures("stand_ins")
def test_a_run_that_judged_a_cell_is_as_good_as_that(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    """Neither a cell that lacks something, nor a run without cells, nor one that judges elsewhere's."""
    scenario(f"{TWO}requires: [{{when: {{platform: plain}}, cpus: 77777}}]\n")
    result, text = run(pytester)
    assert (result.ret, "judged nothing" in text) == (0, False)
    result, text = run(pytester, "scenarios", "-k", "plain")
    assert (result.ret, "for its cell (needs 77777" in text) == (ExitCode.HOST, True)
    result, text = run(pytester, "scenarios", "--collect-only")
    assert (result.ret, "judged nothing" in text) == (0, False)
    pytester.makepyfile("import pytest\ndef test_other(): pytest.skip('so')")
    result, text = run(pytester, "test_a_run_that_judged_a_cell_is_as_good_as_that.py")
    assert (result.ret, "judged nothing" in text) == (0, False)


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
        "scenarios/t.yaml scenarios/s.yaml": 17,
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
    assert entry.main(["plan", str(path), "--kernel", kernel, "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert [cell["kernel"] for cell in made["cells"]] == [kernel] * cells
    assert len(made["removed"]) == 2 - cells


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kernel", "debian-6.11"], "unknown kernel 'debian-6.11'\n  did you mean"),
        (["--loader", "grb"], "unknown loader 'grb'"),
        (["--memory", "8"], "memory: the memory size 8 has no unit\n  write 8M or 8G"),
        (["-k", "a and"], "ERROR: -k a and: expected"),
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


@pytest.mark.parametrize(
    ("arguments", "cells"),
    [
        (["--cell", "kernel=debian-6.1"], [PLAIN]),
        (["--cell", "platform=snp"], [EMULATED]),  # what the file asks for, on any host
        (["--cell", "kernel=debian-6.1,platform=snp"], []),
        (["--cell", PLAIN, "--cell", "kernel=debian-5.10,memory=2G"], [EMULATED, PLAIN]),
        (["--cell", "memory=2G", "-k", "emulated"], [EMULATED]),
    ],
)
def test_cells_by_whole_names(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], arguments: list[str], cells: list[str]
) -> None:
    scenario(TWO)
    result, _ = run(pytester, "scenarios", "--collect-only", "-q", *arguments)
    found = {line.split("::")[1] for line in result.outlines if "::" in line}
    assert sorted(found) == sorted(cells)
    assert result.ret == (ExitCode.OK if cells else ExitCode.NOTHING)


def test_a_cell_with_an_id_runs_whatever_the_selection(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(f"{TWO}selection: on-request\n")
    assert run(pytester, "scenarios", "--collect-only", "--cell", PLAIN)[0].ret == ExitCode.OK
    assert run(pytester, "scenarios", "--collect-only", "--cell", "memory=2G")[0].ret == ExitCode.NOTHING


def test_a_wrong_cell_is_no_scenarios_fault(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(TWO)
    result, text = run(pytester, "scenarios", "--cell", "kernel=debian-6.11")
    assert result.ret == ExitCode.MISTAKE
    assert text.count("ERROR: --cell kernel=debian-6.11: kernel: unknown kernel 'debian-6.11'; did you") == 1
    assert "ERROR collecting" not in text


def test_an_id_that_no_cell_has_is_a_mistake_even_beside_one_that_is_there(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    """A job whose list of cells has an old name would boot fewer, and be green."""
    scenario(TWO)
    result, text = run(pytester, "scenarios", "--collect-only", "--cell", PLAIN, "--cell", f"{PLAIN}x")
    assert result.ret == ExitCode.MISTAKE
    assert f"--cell {PLAIN}x: no cell of these scenarios has this id" in text
    assert f"did you mean '{PLAIN}' or " in text


def test_a_cell_that_is_excluded_says_where(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(f"{MANY}exclude:\n  - {{kernel: debian-6.1}}\n")
    result, text = run(pytester, "scenarios", "--collect-only", "--cell", PLAIN)
    assert result.ret == ExitCode.MISTAKE
    assert re.search(rf"--cell {re.escape(PLAIN)}: excluded by scenarios/s\.yaml:\d+:\d+ ", text)


def test_an_id_with_its_file_says_how_to_name_it(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    scenario(TWO)
    result, text = run(pytester, "scenarios", "--collect-only", "--cell", f"scenarios/s.yaml::{PLAIN}")
    assert result.ret == ExitCode.MISTAKE
    assert f"pytest 'scenarios/s.yaml::{PLAIN}', or --cell {PLAIN}" in text


def test_longer_names_that_keywords_take_are_told(
    pytester: pytest.Pytester, scenario: Callable[[str], Path]
) -> None:
    line = TWO.splitlines()[-1]
    scenario(
        TWO
        + line.replace("memory", "loader: grub-2.12, memory")
        + "\n"
        + line.replace("memory", "loader: grub-2.12-signed, memory")
        + "\n"
    )
    said = "-k grub-2.12 also took grub-2.12-signed; --cell loader=grub-2.12 takes it alone"
    assert said in run(pytester, "scenarios", "--collect-only", "-k", "grub-2.12")[1]
    assert "also took" not in run(pytester, "scenarios", "--collect-only", "-k", "grub-2.12-signed")[1]
    assert "also took" not in run(pytester, "scenarios", "--collect-only", "-k", "grub")[1]
