# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots that begin while ingredients of other cells are fetched and built."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.making import Making
from harness.errors import ExitCode, HostError, SubjectError
from harness.run import cell_run
from harness.store.asking import NotMadeError
from tests.support.pytest_runs import EMULATED, PLAIN, TWO, WHY, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONG = 60.0


def test_a_cell_boots_while_what_another_needs_is_made(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    scenario(TWO)
    booted = threading.Event()
    waited: list[bool] = []
    stand_ins.missing = {"debian-5.10"}
    stand_ins.in_boot = booted.set
    stand_ins.in_making = lambda _: waited.append(booted.wait(LONG))
    result, text = run(pytester, "scenarios", "-v", f"--junitxml={pytester.path / 'junit.xml'}")
    assert result.ret == 0, text
    assert waited == [True]  # the kernel came after a boot that does not need it
    assert stand_ins.booted == [PLAIN, EMULATED]
    assert "made while others boot: debian-5.10 (for 1 cell)" in text
    assert text.index(f"{PLAIN}::") < text.index(f"{EMULATED}::")
    assert "making" not in (pytester.path / "junit.xml").read_text()
    eager = run(pytester, "scenarios", "-p", "no:cacheprovider")[0]
    assert result.parseoutcomes() == eager.parseoutcomes()


def test_nothing_boots_before_qemu_is_made(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    scenario(TWO)
    seen: list[set[str]] = []
    stand_ins.missing = {"qemu", "debian-5.10", "debian-6.1"}
    stand_ins.in_boot = lambda: seen.append({*stand_ins.missing})
    result, text = run(pytester, "scenarios")
    assert result.ret == 0, text
    assert len(seen) == 2
    assert not any("qemu" in missing for missing in seen)
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]


def test_the_time_that_a_test_may_take_is_not_that_of_a_build(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    stand_ins: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A compiler on a slow machine takes longer; the alarm of this test itself is a later one."""
    scenario(TWO)
    stand_ins.missing = {"qemu"}
    left: list[float] = []
    waits = threading.Event()
    stand_ins.in_making = lambda _: waits.wait(LONG)
    wait = Making.wait

    def watched(self: Making, seconds: float) -> None:
        left.append(signal.getitimer(signal.ITIMER_REAL)[0])
        waits.set()
        wait(self, seconds)

    monkeypatch.setattr(Making, "wait", watched)
    result, text = run(pytester, "scenarios", "--timeout=300")
    assert result.ret == 0, text
    assert left
    assert not any(0 < seconds <= 300 for seconds in left)


@pytest.mark.parametrize(
    ("missing", "order"), [({"qemu"}, [PLAIN, EMULATED]), (set(), [EMULATED, PLAIN])], ids=["cold", "warm"]
)
def test_a_cold_run_begins_with_its_shortest_boot(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    stand_ins: Any,
    monkeypatch: pytest.MonkeyPatch,
    missing: set[str],
    order: list[str],
) -> None:
    scenario(TWO)
    monkeypatch.setattr(cell_run, "boot_seconds", lambda what: 3.0 if what.cell.id == PLAIN else 9.0)
    stand_ins.missing = missing
    result, text = run(pytester, "scenarios", "-v", "--boots", "1")
    assert result.ret == 0, text
    assert stand_ins.booted == order
    assert (text.index(f"{PLAIN}::") < text.index(f"{EMULATED}::")) is (order[0] == PLAIN)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SubjectError("edk2: compile failed with code 2", "whole log: x.log"), ExitCode.WRONG),
        (HostError("no space left", "free some"), ExitCode.HOST),
    ],
)
def test_what_cannot_be_made_fails_its_own_cells_only(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    stand_ins: Any,
    error: Exception,
    code: ExitCode,
) -> None:
    scenario(TWO)
    stand_ins.missing = {"debian-5.10"}
    stand_ins.failures = {"debian-5.10": error}
    result, text = run(pytester, "scenarios")
    assert result.ret == code
    assert stand_ins.booted == [PLAIN]
    assert result.parseoutcomes()["failed"] == 1
    assert str(error) in text
    assert f"FAILED scenarios/s.yaml::{EMULATED}::requirements" in text


def test_one_message_when_nothing_can_boot(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    scenario(TWO)
    stand_ins.missing = {"qemu"}
    stand_ins.failures = {"qemu": HostError("no mirror answers", "set one")}
    result, text = run(pytester, "scenarios")
    assert result.ret == ExitCode.HOST
    assert text.count("no mirror answers") == 1
    assert stand_ins.booted == []


def test_an_error_of_ours_is_no_finding(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    scenario(TWO)
    stand_ins.missing = {"debian-5.10"}
    stand_ins.failures = {"debian-5.10": ZeroDivisionError("ours")}
    result = pytester.runpytest_inprocess("scenarios")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR


def test_a_rule_that_changes_nothing_is_told_when_all_is_known(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    scenario(
        f"{TWO}known-bad:\n  - {{when: {{kernel: debian-5.10}}, checks: [no-sev], {WHY}, since: '6.1'}}\n"
    )
    stand_ins.missing = {"debian-5.10"}
    result, text = run(pytester, "scenarios")
    assert result.ret != 0
    assert "s.yaml:7:5: known-bad: no-sev: asked of no cell that the rule is about" in text
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]


@pytest.mark.parametrize("option", ["--lf", "--ff", "--sw", "--deselect=none"])
def test_who_chooses_among_items_gets_them_all_at_once(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any, option: str
) -> None:
    scenario(TWO)
    stand_ins.missing = {"debian-5.10"}
    result, text = run(pytester, "scenarios", option)
    assert result.ret == 0, text
    assert "made while" not in text


@pytest.mark.parametrize("missing", ["qemu", "debian-5.10"])
def test_a_cell_that_is_named_boots_from_a_cold_cache(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any, missing: str
) -> None:
    """Pytest looks for the node of what is named when it collects: FILE::CELL is none that comes later."""
    path = scenario(TWO)
    stand_ins.missing = {missing}
    result, text = run(pytester, f"{path}::{EMULATED}")
    assert result.ret == 0, text
    assert stand_ins.booted == [EMULATED]


def test_a_required_platform_may_come_later(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    scenario(TWO)
    stand_ins.missing = {"debian-5.10"}
    result, text = run(pytester, "scenarios", "--require-platform", "snp-emulated")
    assert result.ret == 0, text


def test_a_stand_in_is_missing_until_it_is_made(stand_ins: Any) -> None:
    stand_ins.missing = {"qemu"}
    with pytest.raises(NotMadeError):
        stand_ins.fetch("qemu", making=False)
    assert stand_ins.fetch("qemu") == stand_ins.fetch("qemu", making=False) == "qemu"
