# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``--since`` boots what changed and takes the rest over; ``--resume`` goes on with a run that stopped."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from harness.results.folder import StoredRun
from harness.run import boots
from harness.store.packing import is_there
from tests.support.data import DATA
from tests.support.pytest_runs import EMULATED, PLAIN, TWO, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.evidence.record import BootRecord


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Give a set of cells whose inputs have changed; of all others the stored boot is the same."""
    cells: set[str] = set()

    def difference(record: BootRecord, _spec: object) -> str:
        return "kernel" if record.cell in cells else ""

    monkeypatch.setattr(boots, "difference", difference)
    return cells


@pytest.fixture
def first(scenario: Callable[[str], Path], pytester: pytest.Pytester, stand_ins: Any) -> StoredRun:
    """Run two cells, and forget that they booted."""
    scenario(TWO)
    run(pytester, "scenarios")
    stand_ins.booted.clear()
    (folder,) = (pytester.path / "out" / "records").glob("*/")
    return StoredRun.load(folder)


def test_since_boots_what_changed(
    first: StoredRun, pytester: pytest.Pytester, stand_ins: Any, changed: set[str]
) -> None:
    changed.add(PLAIN)
    result, text = run(pytester, "scenarios", "--since", "last", "--records", "here")
    assert result.ret == 0
    assert stand_ins.booted == [PLAIN]
    assert f"harness: takes boots over from {first.id}, which has 2 boots" in text
    assert f"since {first.id}: 1 of 2 boots carried over, with the same inputs" in text
    stored = StoredRun.load(pytester.path / "here")
    assert {line.cell: line.carried for line in stored.boots} == {PLAIN: "", EMULATED: first.id}
    assert len(stored.checks) == len(first.checks)
    assert is_there(first.path / EMULATED)


def test_what_was_carried_names_who_booted_it(
    first: StoredRun, pytester: pytest.Pytester, stand_ins: Any, changed: set[str]
) -> None:
    assert not changed
    run(pytester, "scenarios", "--since", first.id, "--records", "second")
    run(pytester, "scenarios", "--since", "second", "--records", "third")
    assert not stand_ins.booted
    assert {line.carried for line in StoredRun.load(pytester.path / "third").boots} == {first.id}


def test_resume_boots_what_is_left(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, stand_ins: Any, changed: set[str]
) -> None:
    """A run is interrupted at its second boot, which then has left half of a record."""
    assert not changed
    scenario(TWO)

    def interrupt() -> None:
        if len(stand_ins.booted) == 2:
            raise KeyboardInterrupt

    stand_ins.in_boot = interrupt
    result = pytester.runpytest_inprocess("scenarios", "--boots", "1", no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    (folder,) = (pytester.path / "out" / "records").glob("*/")
    assert f"interrupted; it goes on with --resume {folder}" in result.stdout.str()
    (booted, missing) = stand_ins.booted
    (folder / missing / "serial.log").write_text("half")
    assert [boot.cell for boot in StoredRun.load(folder).boots] == [booted]
    stand_ins.booted.clear()
    result, text = run(pytester, "scenarios", "--resume", "last")
    assert result.ret == 0
    assert stand_ins.booted == [missing]
    assert f"harness: goes on with {folder.name}, which has 1 boots" in text
    stored = StoredRun.load(folder)
    assert sorted(boot.cell for boot in stored.boots) == sorted([booted, missing])
    assert stored.is_green
    asked = [(line.cell, line.check) for line in stored.checks]
    assert len(asked) == len(set(asked))
    assert [path.name for path in (pytester.path / "out" / "records").glob("*/")] == [folder.name]


def test_a_run_without_an_answer_goes_on(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, stand_ins: Any, changed: set[str]
) -> None:
    """Interrupted in its first boot: the other's record, where there is one, need not be made again."""
    assert not changed
    scenario(TWO)

    def interrupt() -> None:
        raise KeyboardInterrupt

    stand_ins.in_boot = interrupt
    result = pytester.runpytest_inprocess("scenarios", "--boots", "1", no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    (folder,) = (pytester.path / "out" / "records").glob("*/")
    assert f"interrupted; it goes on with --resume {folder}" in result.stdout.str()
    assert not StoredRun.load(folder).checks
    stand_ins.in_boot = lambda: None
    stand_ins.booted.clear()
    result, text = run(pytester, "scenarios", "--resume", "last")
    assert result.ret == 0
    assert f"harness: goes on with {folder.name}, which has 0 boots" in text
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]
    stored = StoredRun.load(folder)
    assert stored.is_green
    assert {boot.cell for boot in stored.boots} == {EMULATED, PLAIN}


def test_a_run_that_was_killed_before_its_first_answer(first: StoredRun, pytester: pytest.Pytester) -> None:
    folder = shutil.copytree(DATA / "records", pytester.path / "killed")
    result, text = run(pytester, "scenarios", "--resume", folder)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--resume {folder}: no run, there is no run.json" in text
    assert "killed before its first answer" in text
    assert "harness judge" in text
    assert first.is_green


def test_resume_boots_again_what_changed(
    scenario: Callable[[str], Path],
    pytester: pytest.Pytester,
    stand_ins: Any,
    changed: set[str],
) -> None:
    scenario(TWO)
    stand_ins.failures[PLAIN] = KeyboardInterrupt()
    pytester.runpytest_inprocess("scenarios", "--boots", "1", no_reraise_ctrlc=True)
    stand_ins.failures.clear()
    stand_ins.booted.clear()
    changed.add(EMULATED)
    run(pytester, "scenarios", "--resume", "last")
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scenarios", "--resume", "last"], "it is over, and green; --since"),
        (["scenarios", "--since", "last", "--resume", "last"], "--since and --resume do not go together"),
        (["scenarios", "--since", "last", "--replay", "x"], "--since and --replay do not go together"),
        (["scenarios", "--resume", "last", "--records", "x"], "--resume and --records do not go together"),
        (["scenarios", "--since", "lst"], "--since lst: no such run below"),
        (["scenarios", "--since", "scenarios"], "--since scenarios: no run, there is no run.json"),
    ],
)
def test_runs_that_cannot_be_taken(
    first: StoredRun, pytester: pytest.Pytester, arguments: list[str], says: str
) -> None:
    assert first.is_green
    result, text = run(pytester, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in text


def test_another_selection_is_no_resumption(
    first: StoredRun, pytester: pytest.Pytester, stand_ins: Any
) -> None:
    results = first.path / "results.jsonl"
    results.write_text("".join(results.read_text().splitlines(keepends=True)[:-1]))
    result, text = run(pytester, "scenarios", "--resume", "last", "--full")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--resume {first.id}: its selection were nothing, and are --full now" in text
    assert not stand_ins.booted
