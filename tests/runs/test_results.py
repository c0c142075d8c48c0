# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run of pytest leaves its results: as data, whole, and with the cause told once."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from harness.checks.asked import check_named
from harness.debian.suite import UPDATE_HINT, FetchError
from harness.errors import HostError
from harness.evidence.record import BootRecord
from harness.results.folder import RESULTS, StoredRun
from harness.results.summary import github_annotations, markdown_summary
from harness.store.packing import open_file
from tests.support.pytest_runs import EMULATED, EXPIRED, QUARANTINE, TWO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"
SCENARIO = """\
name: NAME
description: Is it so?
matrix:
  firmware: [debian-2025.02]
  kernel: [debian-6.1]
  memory: [2G]
  platform: [plain]
"""


def stored(folder: Path) -> StoredRun:
    return StoredRun.load(folder)


@pytest.fixture
def scenarios(pytester: pytest.Pytester) -> Path:
    folder = pytester.mkdir("scenarios")
    (pytester.path / "harness.toml").touch()
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(SCENARIO.replace("NAME", name))
    return folder


def test_a_run_of_boots(pytester: pytest.Pytester, scenarios: Path, stand_ins: Any) -> None:
    assert scenarios.is_dir()
    pytester.runpytest_inprocess("scenarios", "--records", "here")
    run = stored(pytester.path / "here")
    assert stand_ins.booted == [PLAIN]
    assert (run.run.kind, run.run.id, run.end is not None and run.end.code) == ("scenarios", "here", 0)
    (boot,) = run.boots
    assert (boot.cell, boot.ending, boot.axes["memory"], boot.tier) == (PLAIN, "completed", "2G", "none")
    assert boot.inputs["kernel"] == boot.inputs["kernel"][:16]
    assert boot.measures["phase.kernel.seconds"] > 0
    scenarios_asked = {line.scenario for line in run.checks}
    assert scenarios_asked == {"scenarios/one.yaml:3", "scenarios/two.yaml:3"}
    assert {line.state for line in run.checks} == {"passed"}
    expectation = run.checks[0].expectation
    assert expectation is not None
    assert (expectation.outcome, expectation.row) == ("plain", "rollout.yaml, row 3")
    with open_file(pytester.path / "here" / PLAIN / "verdict.json") as file:
        verdict = json.load(file)
    assert len(verdict["checks"]) == len(run.checks)


def test_a_run_says_what_the_sev_firmware_is(
    pytester: pytest.Pytester,
    scenarios: Path,
    records: Path,
    stand_ins: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replay's records come from other hosts."""
    assert scenarios.is_dir()
    assert stand_ins.booted == []
    monkeypatch.setattr(BootRecord, "sev", {"api-major": 1, "build-id": 39})
    pytester.runpytest_inprocess("scenarios", "--records", "here")
    told = stored(pytester.path / "here").run.host.sev
    assert {"query-sev.api-major": "1", "query-sev.build-id": "39"}.items() <= told.items()
    pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "there")
    assert "query-sev.build-id" not in stored(pytester.path / "there").run.host.sev


def test_a_failed_boot_fails_in_every_scenario(
    pytester: pytest.Pytester, scenarios: Path, records: Path, edit_index: Callable[..., None]
) -> None:
    assert scenarios.is_dir()
    edit_index(records / PLAIN, kind="hang", detail="no console byte for 40 s")
    result = pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "here")
    assert result.parseoutcomes()["failed"] == 2
    text = result.stdout.str()
    assert text.count("the same boot has failed in scenarios/one.yaml:3, which tells all") == 1
    assert text.count(": no console byte for 40 s\n    phases: ") == 1  # the whole of it, once
    run = stored(pytester.path / "here")
    assert run.run.kind == "replay"
    first, second = (line for line in run.checks if line.state == "failed")
    assert (first.check, first.scenario, first.cause) == ("reaches-userspace", "scenarios/one.yaml:3", "")
    assert first.findings[0].kind == "ended"
    assert first.findings[0].values["ending"] == "hang"
    assert second.cause == "reaches-userspace in scenarios/one.yaml:3"
    others = [line for line in run.checks if line.state == "not-asked" and line.cause]
    assert others
    assert all(line.cause == "reaches-userspace" for line in others)


def test_a_replay_leaves_the_records_as_they_were(
    pytester: pytest.Pytester, scenarios: Path, records: Path
) -> None:
    assert scenarios.is_dir()
    before = sorted(records.rglob("*"))
    pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "here")
    assert sorted(records.rglob("*")) == before
    assert stored(pytester.path / "here").checks[0].record == str(records / PLAIN)


def test_the_hosts_fault_is_told_as_that(pytester: pytest.Pytester, scenarios: Path, stand_ins: Any) -> None:
    assert scenarios.is_dir()
    stand_ins.failures[PLAIN] = HostError("QEMU did not start: no memory", "close something")
    result = pytester.runpytest_inprocess("scenarios", "--records", "here")
    assert result.ret == 6
    run = stored(pytester.path / "here")
    assert [line.state for line in run.checks if line.state != "not-asked"] == ["host-error", "host-error"]
    assert run.end is not None
    assert run.end.code == 6


def test_collecting_leaves_nothing(pytester: pytest.Pytester, scenarios: Path, stand_ins: Any) -> None:
    assert scenarios.is_dir()
    assert stand_ins.booted == []
    pytester.runpytest_inprocess("scenarios", "--records", "here", "--collect-only")
    assert not (pytester.path / "here").exists()


def test_a_disk_that_fills_up(
    pytester: pytest.Pytester, scenarios: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdicts go on, and the run says once that they are not written."""
    assert scenarios.is_dir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "here/results.jsonl")

    monkeypatch.setattr("harness.results.folder.RunWriter.add", full)
    result = pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "here")
    assert "failed" not in result.parseoutcomes()
    told = "results cannot be written (here/results.jsonl: No space left on device); the run goes on without"
    assert result.stdout.str().count(told) == 1
    assert not (pytester.path / "here" / RESULTS).exists()


def test_what_is_known_bad_says_by_which_rule(pytester: pytest.Pytester, records: Path) -> None:
    folder = pytester.mkdir("scenarios")
    (pytester.path / "harness.toml").touch()
    words = "checks: no-alarms, reason: because, link: 'https://example.org/1', since: '6.1'"
    rule = f"known-bad:\n  - {{when: {{memory: 2G}}, {words}}}\n"
    (folder / "s.yaml").write_text(SCENARIO.replace("NAME", "s") + rule)
    log = records / PLAIN / "serial.log"
    log.write_text(log.read_text().replace("Run /init", "BUG: unable to handle page fault\nRun /init", 1))
    pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "here")
    (line,) = [line for line in stored(pytester.path / "here").checks if line.check == "no-alarms"]
    assert line.state == "known-bad"
    assert line.known_bad is not None
    assert line.known_bad.where == "scenarios/s.yaml:9:5"
    assert line.findings[0].values == {"alarm": "bug"}


@pytest.mark.parametrize(("until", "code"), [("2999-12-31", 0), ("2020-01-01", 1)])
def test_quarantine(
    pytester: pytest.Pytester,
    scenarios: Path,
    records: Path,
    edit_index: Callable[..., None],
    until: str,
    code: int,
) -> None:
    assert scenarios.is_dir()
    (pytester.path / "quarantine.yaml").write_text(QUARANTINE.replace("UNTIL", until))
    edit_index(records / PLAIN, kind="hang", detail="no console byte for 40 s")
    result = pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "here")
    assert result.ret == code
    lines = [line for line in stored(pytester.path / "here").checks if line.check == "reaches-userspace"]
    assert {line.state for line in lines} == {"failed" if code else "known-bad"}
    assert lines[0].findings
    if code:
        assert "expired on 2020-01-01" in result.stdout.str()
    else:
        assert lines[0].reason.startswith("in quarantine until 2999-12-31, by ")
        assert result.parseoutcomes()["xfailed"] == 2


def test_an_expired_entry_fails_a_green_run(
    pytester: pytest.Pytester, scenarios: Path, records: Path
) -> None:
    assert scenarios.is_dir()
    (pytester.path / "quarantine.yaml").write_text(QUARANTINE.replace("UNTIL", "2020-01-01"))
    result = pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "here")
    assert result.ret == 1
    assert "failed" not in result.parseoutcomes()
    assert f"{EXPIRED} on 2020-01-01" in result.stdout.str()


def test_records_of_passed_boots_are_packed(
    pytester: pytest.Pytester, scenarios: Path, records: Path
) -> None:
    """A replay writes no records, so the run that is replayed here gets its own by hand."""
    assert scenarios.is_dir()
    shutil.copytree(records, pytester.path / "here")
    pytester.runpytest_inprocess("scenarios", "--replay", "here", "--records", "here")
    here = pytester.path / "here"
    names = [f"{PLAIN}.tar.zst", f"{EMULATED}.tar.zst", "results.jsonl", "run.json"]
    assert sorted(path.name for path in here.iterdir()) == sorted(names)
    before = stored(here)
    again = pytester.runpytest_inprocess("scenarios", "--replay", "here", "--records", "again")
    assert again.ret == 0
    after = stored(pytester.path / "again")
    answers = [[(line.check, line.scenario, line.state) for line in it.checks] for it in (before, after)]
    assert sorted(answers[0]) == sorted(answers[1])


def test_records_of_failed_boots_stay_as_they_are(
    pytester: pytest.Pytester, scenarios: Path, records: Path, edit_index: Callable[..., None]
) -> None:
    assert scenarios.is_dir()
    edit_index(records / PLAIN, kind="hang", detail="no console byte for 40 s")
    shutil.copytree(records, pytester.path / "here")
    (pytester.path / "here" / PLAIN / "disk0.qcow2").write_bytes(b"evidence")
    pytester.runpytest_inprocess("scenarios", "--replay", "here", "--records", "here")
    assert (pytester.path / "here" / PLAIN / "disk0.qcow2").exists()


def test_overlays_and_keys_of_passed_boots_go(
    pytester: pytest.Pytester, scenarios: Path, stand_ins: Any
) -> None:
    assert scenarios.is_dir()

    def leave() -> None:
        folder = pytester.path / "here" / PLAIN
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "disk0.qcow2").write_bytes(bytes(4096))

    stand_ins.in_boot = leave
    pytester.runpytest_inprocess("scenarios", "--records", "here")
    record = BootRecord.load(pytester.path / "here" / PLAIN)
    assert not record.holds("disk0.qcow2")
    assert record.holds("serial.log")


def properties(case: ET.Element) -> dict[str | None, str | None]:
    return {it.get("name"): it.get("value") for it in case.iterfind("properties/property")}


def junit(pytester: pytest.Pytester, *options: str | Path) -> dict[str, ET.Element]:
    """Run the scenarios and return the test cases of the JUnit file, by check."""
    pytester.runpytest_inprocess("scenarios/one.yaml", "--records", "here", "--junitxml", "j.xml", *options)
    root = ET.parse(pytester.path / "j.xml").getroot()  # noqa: S314  # pytest has just written it
    return {str(case.get("name")): case for case in root.iter("testcase")}


def test_junit_properties(
    pytester: pytest.Pytester, scenarios: Path, records: Path, edit_index: Callable[..., None]
) -> None:
    assert scenarios.is_dir()
    cases = junit(pytester, "--replay", records)
    assert properties(cases["no-alarms"]) == {
        "platform": "plain",
        "question": check_named("no-alarms").question,
        "state": "passed",
        "record": str(records / PLAIN),
    }
    edit_index(records / PLAIN, kind="hang", detail="no console byte for 40 s")
    cases = junit(pytester, "--replay", records)
    assert properties(cases["reaches-userspace"])["state"] == "failed"
    assert "no console byte for 40 s" in str(cases["reaches-userspace"].findtext("failure"))
    told = properties(cases["no-alarms"])
    assert (told["state"], told.get("record")) == ("not-asked", None)
    assert cases["no-alarms"].find("skipped") is not None


def test_annotations_are_at_the_scenarios_line(
    pytester: pytest.Pytester, scenarios: Path, records: Path, edit_index: Callable[..., None]
) -> None:
    """From a run to GitHub's words: the line is that of the scenario's matrix."""
    edit_index(records / PLAIN, kind="hang", detail="no console byte for 40 s")
    pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "here")
    (line,) = github_annotations(stored(pytester.path / "here")).splitlines()
    assert line.startswith(f"::error file=scenarios/one.yaml,line=3,title={PLAIN}::reaches-userspace: ")
    assert (scenarios / "one.yaml").read_text().splitlines()[2] == "matrix:"
    summary = markdown_summary(stored(pytester.path / "here"))
    assert f"| `{PLAIN}` | reaches-userspace | the guest hung, in phase " in summary


def test_a_replay_says_where_its_records_are_whatever_it_was_told(
    pytester: pytest.Pytester, scenarios: Path, records: Path
) -> None:
    assert scenarios.is_dir()
    shutil.copytree(records, pytester.path / "rec")
    pytester.runpytest_inprocess("scenarios", "--replay", "rec", "--records", "here")
    run = stored(pytester.path / "here")
    assert {line.record for line in run.boots} == {
        str(pytester.path / "rec" / line.cell) for line in run.boots
    }
    assert all((run.path / line.record).is_dir() for line in run.checks)


LEFT = "package linux-image-x 1 is not (or no longer) in trixie; the newest is linux-image-x 2"


def test_a_package_that_has_left_the_archive_fails_its_own_cells(
    pytester: pytest.Pytester, stand_ins: Any
) -> None:
    folder = pytester.mkdir("scenarios")
    (pytester.path / "harness.toml").touch()
    (folder / "s.yaml").write_text(TWO)
    wrapped = HostError(f"{LEFT}; needed by debian-6.1", UPDATE_HINT)
    wrapped.__cause__ = FetchError(LEFT, UPDATE_HINT, missing=True)
    stand_ins.failures["debian-6.1"] = wrapped
    result = pytester.runpytest_inprocess("scenarios", "--records", "here")
    assert result.ret == 6
    assert result.parseoutcomes()["failed"] == 1
    text = result.stdout.str()
    assert f"{LEFT}; needed by debian-6.1" in text
    assert UPDATE_HINT in text
    run = stored(pytester.path / "here")
    assert stand_ins.booted == [EMULATED]
    (line,) = [line for line in run.checks if line.state == "host-error"]
    assert (line.cell, line.check, line.reason) == (PLAIN, "requirements", f"{LEFT}; needed by debian-6.1")
    assert {line.state for line in run.checks if line.cell == EMULATED} == {"passed"}
    assert run.end is not None
    assert run.end.code == 6


def test_a_cell_that_cannot_be_judged_does_not_stop_the_others(
    pytester: pytest.Pytester, stand_ins: Any
) -> None:
    folder = pytester.mkdir("scenarios")
    (pytester.path / "harness.toml").touch()
    silent = "{firmware: debian-2025.02, kernel: debian-6.1, loader: boot-file, memory: 2G, platform: plain}"
    (folder / "s.yaml").write_text(f"{TWO}  - {silent}\n")
    result = pytester.runpytest_inprocess("scenarios", "--records", "here")
    assert result.ret == 1
    assert result.parseoutcomes()["failed"] == 1
    assert "the kernel has no console with boot-file: nothing can be judged" in result.stdout.str()
    assert sorted(stand_ins.booted) == sorted([EMULATED, PLAIN])
    run = stored(pytester.path / "here")
    (line,) = [line for line in run.checks if line.state == "cannot-judge"]
    assert (line.cell, line.check) == (PLAIN.replace("direct", "boot-file"), "requirements")
    assert {line.state for line in run.checks if line.cell in {PLAIN, EMULATED}} == {"passed"}


def test_what_does_not_answer_ends_the_run(
    pytester: pytest.Pytester, scenarios: Path, stand_ins: Any
) -> None:
    assert scenarios.is_dir()
    stand_ins.failures["debian-6.1"] = FetchError("the mirror does not answer", "look", missing=False)
    result = pytester.runpytest_inprocess("scenarios", "--records", "here")
    assert result.ret == 6
    assert stand_ins.booted == []


def test_what_to_type_next_is_told_once_for_a_boot(
    pytester: pytest.Pytester, scenarios: Path, records: Path
) -> None:
    assert scenarios.is_dir()
    with open_file(records / PLAIN / "serial.log") as file:
        log = file.read()
    sev = b"[    0.500000] Memory Encryption Features active: AMD SEV SEV-ES SEV-SNP\r\n"
    (records / PLAIN / "serial.log").write_bytes(log.replace(b"] BIOS-e820: ", b"] BIOS-e821: ") + sev)
    result = pytester.runpytest_inprocess("scenarios", "--replay", records, "--records", "here")
    assert result.parseoutcomes()["failed"] > 2
    assert result.stdout.str().count("next: harness boot ") == 1
    assert result.stdout.str().count("next: harness show ") == 1
