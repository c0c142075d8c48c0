# SPDX-License-Identifier: BSD-2-Clause-Patent
"""pytest's front door: scenario files as tests, from stored boots and, once, from a real one."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ExitCode, HarnessError, HostError, SubjectError
from harness.evidence.record import stored_files
from harness.matrix.cell import Cell
from harness.pytest_plugin.opt_in import PLUGIN
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session
from tests.support.data import PROJECT
from tests.support.pytest_runs import EMULATED, PLAIN, RECORDS, TWO, run, stored_records

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def scenarios(pytester: pytest.Pytester) -> Path:
    """Make ``scenarios/two.yaml`` in a new folder and go there."""
    folder = pytester.mkdir("scenarios")
    (folder / "two.yaml").write_text(TWO)
    return folder


@pytest.fixture(scope="module")
def items() -> dict[str, int]:
    """Count the checks of each stored cell."""
    session = Session(Options(replay=RECORDS), find_project(PROJECT), lambda _line: None)
    cells = [
        Cell("debian-2025.02", "debian-5.10", "direct", 2048, "snp-emulated"),
        Cell("debian-2025.02", "debian-6.1", "direct", 2048, "plain"),
    ]
    assert [cell.id for cell in cells] == [EMULATED, PLAIN]
    return {cell.id: len(session.run(cell).checks) for cell in cells}


@pytest.mark.usefixtures("stand_ins", "scenarios")
def test_stored_boots_are_judged_again(
    pytester: pytest.Pytester, records: Path, items: dict[str, int]
) -> None:
    result, _ = run(pytester, "scenarios", "--replay", records, "-v")
    result.assert_outcomes(passed=sum(items.values()))
    result.stdout.fnmatch_lines(
        [
            f"scenarios/two.yaml::{EMULATED}::no-userspace PASSED*",
            f"scenarios/two.yaml::{PLAIN}::reaches-userspace PASSED*",
            f"scenarios/two.yaml::{PLAIN}::no-sev PASSED*",
        ]
    )


@pytest.mark.usefixtures("scenarios")
def test_each_cell_is_booted_once_for_all_its_items(
    pytester: pytest.Pytester, stand_ins: Any, items: dict[str, int]
) -> None:
    result, text = run(pytester)
    result.assert_outcomes(passed=sum(items.values()))
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]
    assert "platform: snp cells ran as snp-emulated here (there is no /dev/sev)" in text
    where = re.search(r"^boot records: (.*)$", text, re.MULTILINE)
    assert where is not None
    assert stored_records(Path(where[1])) == [EMULATED, PLAIN]
    assert re.search(r"^harness: building QEMU$", text, re.MULTILINE)  # past pytest's capturing


@pytest.mark.usefixtures("scenarios")
def test_only_selected_cells_are_booted(
    pytester: pytest.Pytester, stand_ins: Any, items: dict[str, int]
) -> None:
    result, _ = run(pytester, "scenarios", "-k", "plain and no-sev", "--records", "here")
    result.assert_outcomes(passed=1, deselected=items[PLAIN] - 1)
    assert stand_ins.booted == [PLAIN]
    assert stored_records(pytester.path / "here") == [PLAIN]
    result, _ = run(pytester, "scenarios", "--platform", "snp-emulated")
    result.assert_outcomes(passed=items[EMULATED])
    assert stand_ins.booted == [PLAIN, EMULATED]


@pytest.mark.usefixtures("scenarios")
def test_collecting_builds_and_boots_nothing(pytester: pytest.Pytester, stand_ins: Any) -> None:
    result, text = run(pytester, "scenarios", "--collect-only", "-q")
    assert result.ret == 0
    assert f"scenarios/two.yaml::{PLAIN}::no-sev" in text
    assert stand_ins.booted == []
    assert "qemu" not in stand_ins.built
    assert not (pytester.path / "out").exists()


@pytest.mark.usefixtures("stand_ins")
def test_all_mistakes_in_a_scenario_at_once(pytester: pytest.Pytester, scenarios: Path) -> None:
    text = TWO.replace("memory: 2G, platform: snp", "memroy: 2G, platform: snpp")
    (scenarios / "two.yaml").write_text(text.replace("debian-6.1,", "debian-6.11,"))
    result, text = run(pytester)
    assert result.ret == ExitCode.MISTAKE
    for line, what in ((4, "memroy"), (4, "snpp"), (5, "debian-6.11")):
        assert re.search(rf"scenarios/two\.yaml:{line}:\d+: .*{re.escape(repr(what))}; did you mean", text)


@pytest.mark.usefixtures("scenarios")
def test_an_ingredient_that_cannot_be_had_is_told_once(pytester: pytest.Pytester, stand_ins: Any) -> None:
    (pytester.path / "scenarios/more.yaml").write_text(TWO.replace("two", "more"))
    for name, kind in (("debian-2025.02", HostError), ("qemu", SubjectError)):
        stand_ins.failures = {name: kind("could not fetch it", "check the network")}
        result, text = run(pytester)
        assert result.ret == kind.exit_code
        assert len(re.findall(r"^could not fetch it\n  check the network$", text, re.MULTILINE)) == 1
        result.assert_outcomes(errors=1)
        assert stand_ins.built.count("qemu") == (name == "qemu")
    assert stand_ins.booted == []


@pytest.mark.usefixtures("scenarios")
def test_a_boot_that_fails_is_one_failure(
    pytester: pytest.Pytester, stand_ins: Any, items: dict[str, int]
) -> None:
    what = "QEMU did not start: code 1\n  QEMU said:\n    no such CPU\n  command: qemu -cpu x"
    stand_ins.failures[PLAIN] = HarnessError(what, "its whole output is in x/qemu.log")
    result, text = run(pytester)
    result.assert_outcomes(passed=items[EMULATED], failed=1, skipped=items[PLAIN] - 1)
    assert f"{what}\n  its whole output is in x/qemu.log" in text
    assert "not judged: QEMU did not start: code 1\n" in text
    assert stand_ins.booted.count(PLAIN) == 1
    assert result.ret == ExitCode.WRONG
    stand_ins.failures[PLAIN] = HostError(what)
    assert run(pytester)[0].ret == ExitCode.HOST  # nothing else failed
    stand_ins.failures[EMULATED] = HarnessError(what)
    assert run(pytester)[0].ret == ExitCode.WRONG


@pytest.mark.usefixtures("stand_ins", "scenarios")
def test_other_errors_at_collection_are_pytests_own(pytester: pytest.Pytester) -> None:
    assert run(pytester, "scenarios", "-k", "nobody")[0].ret == ExitCode.NOTHING
    (pytester.path / "scenarios/wrong.yaml").write_text("nane: x\n")
    assert run(pytester)[0].ret == ExitCode.MISTAKE
    pytester.makepyfile(test_wrong="import nowhere_to_be_found")
    assert pytester.runpytest_inprocess("scenarios", "test_wrong.py").ret == pytest.ExitCode.INTERRUPTED


@pytest.mark.usefixtures("stand_ins", "scenarios")
def test_a_finding_shows_its_evidence_and_where_the_record_is(
    pytester: pytest.Pytester, records: Path, items: dict[str, int]
) -> None:
    line = "Memory Encryption Features active: AMD SEV SEV-ES SEV-SNP"
    with (records / PLAIN / "serial.log").open("a") as log:
        log.write(f"[    0.500000] {line}\r\n")
    result, text = run(pytester, "scenarios", "--replay", records)
    result.assert_outcomes(passed=sum(items.values()) - 1, failed=1)
    assert f"no-sev: a plain guest speaks of SEV\n    {line}\n" in text
    assert f"boot record: {records / PLAIN}" in text


@pytest.mark.usefixtures("stand_ins", "scenarios")
def test_a_boot_that_ended_wrongly_fails_its_first_item_only(
    pytester: pytest.Pytester, records: Path, edit_index: Callable[..., None], items: dict[str, int]
) -> None:
    edit_index(records / PLAIN, kind="hang", phase="kernel", detail="no console byte for 9 s")
    result, text = run(pytester, "scenarios", "--replay", records)
    result.assert_outcomes(passed=items[EMULATED], failed=1, skipped=items[PLAIN] - 1)
    assert "not judged: the guest hung, in phase kernel, 2.8 s after it began: no console byte" in text


@pytest.mark.usefixtures("stand_ins", "scenarios")
def test_no_selection_hides_a_boot_that_ended_wrongly(
    pytester: pytest.Pytester, records: Path, edit_index: Callable[..., None]
) -> None:
    edit_index(records / PLAIN, kind="hang", phase="kernel", detail="no console byte for 9 s")
    result, text = run(pytester, "scenarios", "--replay", records, "-k", "plain and (no-alarms or no-ledger)")
    result.assert_outcomes(failed=1, skipped=1, deselected=result.parseoutcomes()["deselected"])
    assert "there is nothing to judge: the guest hung, in phase kernel" in text


@pytest.mark.usefixtures("stand_ins", "scenarios")
def test_an_unfinished_record(pytester: pytest.Pytester, records: Path, items: dict[str, int]) -> None:
    (records / PLAIN / "boot.json").unlink()
    result, text = run(pytester, "scenarios", "--replay", records)
    result.assert_outcomes(passed=items[EMULATED], failed=1, skipped=items[PLAIN] - 1)
    assert f"{records / PLAIN}: no boot.json, so an unfinished boot\n  boot the cell again" in text


@pytest.mark.usefixtures("stand_ins", "scenarios")
@pytest.mark.parametrize(
    ("text", "said"), [("{", "cannot be read"), ('{"firmware": {}}', "has 16 bytes, the boot left")]
)
def test_traits_that_are_not_the_boot_s_fail_its_cell_alone(
    pytester: pytest.Pytester, records: Path, items: dict[str, int], text: str, said: str
) -> None:
    """They choose the checks: changed ones could leave out what the boot fails."""
    index = json.loads((records / PLAIN / "boot.json").read_text())
    if "bytes" in said:
        index["files"] = {name: asdict(it) for name, it in stored_files(records / PLAIN).items()}
    (records / PLAIN / "boot.json").write_text(json.dumps(index))
    (records / PLAIN / "traits.json").write_text(text)
    result, told = run(pytester, "scenarios", "--replay", records)
    result.assert_outcomes(passed=items[EMULATED], failed=1)
    assert f"{records / PLAIN / 'traits.json'}: {said}" in told


@pytest.mark.usefixtures("stand_ins", "scenarios")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--replay", "nowhere"], "ERROR: --replay nowhere: no such folder\n  give a folder of boot records"),
        (
            ["--replay", "scenarios"],
            "--replay scenarios: it holds no boot record of a selected cell\n  `harness judge scenarios`",
        ),
        (
            ["--platform", "snp"],
            "ERROR: --platform snp: this host cannot run SEV-SNP guests (there is no /dev/sev)",
        ),
        (
            ["--require-platform", "plain", "--require-platform", "snp"],
            "ERROR: --require-platform snp: this host cannot run SEV-SNP guests (there is no /dev/sev)",
        ),
        (["--require-platform", "plain", "-k", "emulated"], "ERROR: --require-platform plain: no selected"),
        (["--platform", "snpp"], "argument --platform: unknown platform 'snpp'; did you mean 'snp'"),
        (["--boots", "0"], "error: argument --boots: '0' is not a number from 1 on"),
        (["--records", "scenarios/two.yaml/x"], "ERROR: boot records cannot be written to"),
    ],
)
def test_options_that_cannot_be_followed(
    pytester: pytest.Pytester, stand_ins: Any, arguments: list[str], said: str
) -> None:
    result, text = run(pytester, "scenarios", *arguments)
    of_host = ("--platform snp:", "--require-platform snp", "boot records cannot")
    assert result.ret == (ExitCode.HOST if any(word in said for word in of_host) else ExitCode.MISTAKE)
    assert text.count(said) == 1
    assert "ERROR collecting" not in text  # no file is to blame
    assert stand_ins.booted == []


@pytest.mark.usefixtures("stand_ins", "scenarios")
def test_required_platforms_that_are_there(pytester: pytest.Pytester, items: dict[str, int]) -> None:
    both = ["--require-platform", "plain", "--require-platform", "snp-emulated"]
    run(pytester, "scenarios", *both)[0].assert_outcomes(passed=sum(items.values()))


@pytest.mark.usefixtures("stand_ins")
def test_other_yaml_files_are_not_tests(pytester: pytest.Pytester) -> None:
    pytester.mkdir("elsewhere")
    (pytester.path / "elsewhere/two.yaml").write_text("no scenario")
    assert pytester.runpytest_inprocess("elsewhere").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.usefixtures("scenarios")
@pytest.mark.parametrize("mode", ["load", "loadgroup", "worksteal", "each", "loadfile", "loadscope"])
def test_modes_that_would_part_a_cells_items_keep_them(pytester: pytest.Pytester, mode: str) -> None:
    config = pytester.parseconfig("scenarios", "--tx", "2*popen", "--dist", mode)
    made = config.pluginmanager.getplugin(PLUGIN).pytest_xdist_make_scheduler(config, log=None)
    assert (made is None) == (mode in {"each", "loadfile", "loadscope"})
    if made is not None:
        checks = ("no-sev", "no-ledger")
        assert {made._split_scope(f"scenarios/two.yaml::{PLAIN}::{name}") for name in checks} == {PLAIN}
