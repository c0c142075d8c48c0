# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table that says which check asks which cell, and checks of other packages."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from itertools import product
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import pytest

import harness.checks as room
from harness.checks.asked import TABLE, asked_where, by_action, check_named, checks, checks_of, own_checks
from harness.checks.finding import Check, Needs
from harness.errors import HarnessError
from tests.support.expectations import FIRMWARE, KERNEL, expected
from tests.support.packages import install

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """\
from harness import Check
from harness.checks.asked import by_action


def judge(evidence):
    yield from ()


CLOCK = Check("one-clock", "Is there one clock?", judge, asked_of=lambda what: what.cell.vcpus > 1)
BY_ACTION = Check("by-action", "Did it go?", judge, asked_of=by_action("by-action"))
NOWHERE = Check("nowhere", "Is it asked?", judge)
TAKEN = Check("no-alarms", "Is it quiet?", judge, asked_of=lambda what: True)
"""
NEGATED = re.compile(r"\b(not?|none|nothing|nobody|never|n't)\b")


def defined() -> set[Check]:
    found = walk_packages(room.__path__, f"{room.__name__}.")
    modules = [import_module(each.name) for each in found]
    return {value for module in modules for value in vars(module).values() if isinstance(value, Check)}


def test_every_check_is_in_the_table() -> None:
    assert defined() == {row.check for row in TABLE}
    assert len({check.name for check in defined()}) == len(defined()) > 50


def test_every_row_is_about_a_cell() -> None:
    assert all(row.outcomes and row.kernels for row in TABLE)
    rows = [(row.check, *place) for row in TABLE for place in product(row.kernels, row.outcomes)]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("check", checks().values(), ids=lambda check: check.name)
def test_questions_are_positive(check: Check) -> None:
    """A good boot answers with yes, and nobody has to think twice what that means."""
    assert check.question.endswith("?")
    assert not NEGATED.search(check.question)
    assert isinstance(check.needs, Needs)


def test_the_first_check_is_about_the_boot_itself() -> None:
    lazy = expected(FIRMWARE, KERNEL, 8192, "snp")
    firsts = {
        checks_of(lazy)[0].name,
        checks_of(replace(lazy, outcome="hangs"))[0].name,
        checks_of(replace(lazy, outcome="refuses-to-boot"))[0].name,
        checks_of(replace(lazy, outcome="refuses-to-boot", refused_by="hypervisor"))[0].name,
        checks_of(expected(FIRMWARE, replace(KERNEL, probe=True), 8192, "snp"))[0].name,
    }
    assert firsts == {"reaches-userspace", "hangs", "no-userspace", "never-started", "probe-reports"}


def test_a_guest_that_should_die_is_not_asked_what_it_did() -> None:
    dies = replace(expected(FIRMWARE, KERNEL, 8192, "snp", action="drain"), outcome="refuses-to-boot")
    assert "actions-done" not in {check.name for check in checks_of(dies)}


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("touch:4", {"actions-done", "ends-as-asked", "no-later-alarms", "unaccepted-falls"}),
        ("cpu-cycle", {"actions-done", "ends-as-asked", "no-later-alarms", "cpus-cycle"}),
        ("idle:1", {"actions-done", "ends-as-asked", "no-later-alarms"}),
        ("", set()),
    ],
)
def test_what_an_action_is_asked(action: str, asked: set[str]) -> None:
    without = {*checks_of(expected(FIRMWARE, KERNEL, 8192, "snp"))}
    found = {*checks_of(expected(FIRMWARE, KERNEL, 8192, "snp", action=action))} - without
    assert {check.name for check in found} == asked


def test_a_name() -> None:
    assert check_named("no-alarms").name == "no-alarms"
    with pytest.raises(HarnessError, match="unknown check 'no-alarm'\n  did you mean 'no-alarms'"):
        check_named("no-alarm")


@pytest.fixture
def package(site: Path) -> Path:
    (site / "own_checks.py").write_text(MODULE)
    return site


def names(vcpus: int, action: str = "", judged_by: tuple[str, ...] = ()) -> set[str]:
    told = expected(FIRMWARE, KERNEL, 8192, "snp", vcpus=vcpus, action=action)
    actions = tuple(replace(each, judged_by=judged_by) for each in told.traits.actions)
    return {check.name for check in checks_of(replace(told, traits=replace(told.traits, actions=actions)))}


def test_checks_of_another_package(package: Path) -> None:
    entries = ("one-clock = own_checks:CLOCK", "by-action = own_checks:BY_ACTION")
    install(package, "own-checks", "checks", *entries)
    assert set(own_checks()) == {"one-clock", "by-action"}
    assert {*own_checks()} < {*checks()}
    assert "one-clock" not in names(1)
    assert "one-clock" in names(2)
    assert "by-action" not in names(1, "idle:1")
    assert "by-action" in names(1, "idle:1", ("by-action",))
    with pytest.raises(HarnessError, match="actions/idle: unknown check 'one-clok'\n  did you mean"):
        names(1, "idle:1", ("one-clok",))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("nowhere = own_checks:NOWHERE", "'nowhere': its check does not say which cells it asks about"),
        ("other = own_checks:CLOCK", "'other': its check is called 'one-clock'"),
        ("one-clock = own_checks:judge", "'one-clock': <function judge at .*> is no Check"),
        ("no-alarms = own_checks:TAKEN", "'no-alarms': the harness has a check of this name"),
    ],
)
def test_a_check_that_cannot_be_asked(package: Path, entry: str, said: str) -> None:
    install(package, "own-checks", "checks", entry)
    with pytest.raises(HarnessError, match=said):
        checks()


def test_every_check_says_of_which_cells_it_is_asked() -> None:
    for row in TABLE:
        assert str(row) in asked_where(row.check)
    conditions = {row.where.words: row.where.holds for row in TABLE}
    assert len(conditions) == len({id(row.where) for row in TABLE})  # no two conditions read the same
    own = Check("own", "Is it?", lambda _evidence: iter(()), asked_of=by_action("own"))
    assert asked_where(own) == ("an action says `judged by own` in its file",)
    silent = replace(own, asked_of=lambda _what: True)
    assert asked_where(silent) == ("the package that adds it decides",)
