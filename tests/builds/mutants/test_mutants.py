# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Can the scenarios fail? Wrong firmware, guests and hosts boot, and checks name what is wrong with each."""

from __future__ import annotations

from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.checks.asked import TABLE, checks
from harness.checks.finding import Check, Problem
from harness.evidence.problems import EvidenceError
from harness.evidence.record import EndingKind
from harness.formats.patches import read_patches
from harness.pytest_plugin.cell_items import SESSION
from harness.run.judge import judge
from tests.support.mutant_runs import Boots, catches, found_on_hardware, judged, on_hardware, order
from tests.support.mutants import BOOTS, HERE, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.mutant_runs import Catch

MUTANTS = {it.name: it for it in REGISTRY.mutants}
EQUIVALENT = {it.name: it for it in REGISTRY.equivalent}
GUESTS = {it.name: it for it in REGISTRY.guests}
HOSTS = {it.name: it for it in REGISTRY.hosts}
LEAST = 45
LINUX = "debian-6.1 3G"
LOADER_DIES = "dies-in-loader"
EXIT = ("ebs-", "exit-", "key-", "refusal-", "accepts-")
"""How the names of checks of the exit protocol begin.

exits-as-reported compares two witnesses, the probe and QEMU: no firmware makes them differ.
"""
BASE_TEST = "test_unmutated_firmware_passes"
TESTS = {f"test_mutant_is_caught[{name}]": name for name in MUTANTS} | {
    f"test_equivalent_mutant_is_not_told_apart[{name}]": name for name in EQUIVALENT
}

nightly = pytest.mark.nightly
waits = pytest.mark.timeout(0)
"""Every wait of a boot has its own deadline."""


@pytest.fixture(scope="session")
def boots(request: pytest.FixtureRequest) -> Boots:
    made = Boots(request.config.stash[SESSION])
    if not hasattr(request.config, "workerinput"):  # a worker of xdist starts what it is given
        selected = {item.name for item in request.session.items}
        if BASE_TEST in selected:
            made.start(REGISTRY.base, cells_of(request))
        for name in order(TESTS[test] for test in selected if test in TESTS):
            made.start(name, BOOTS[name])
    return made


def cells_of(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Return the cells of all mutants that this run boots; of a run without any, all."""
    selected = [TESTS[item.name] for item in request.session.items if item.name in TESTS]
    return tuple(dict.fromkeys(chain.from_iterable(BOOTS[name] for name in selected or BOOTS)))


@waits
def test_unmutated_firmware_passes(request: pytest.FixtureRequest, boots: Boots) -> None:
    wrong = [
        f"{run.cell.id}: {finding}"
        for run in boots.runs(REGISTRY.base, cells_of(request))
        for check in run.checks
        if not check.not_applicable(run.cell.platform, run.traits)
        for finding in check(run.evidence)
    ]
    assert not wrong, "\n".join(wrong)


def marked(name: str) -> object:
    return pytest.param(name, marks=() if MUTANTS[name].ci else nightly)


@waits
@pytest.mark.parametrize("name", [marked(name) for name in MUTANTS])
def test_mutant_is_caught(name: str, boots: Boots, tmp_path: Path, tell: Callable[[str], None]) -> None:
    mutant = MUTANTS[name]
    runs = boots.runs(name, mutant.boots)
    found = [catch for run in runs for catch in catches(run)]
    hung = ", ".join(run.cell.id for run in runs if run.record.ending.kind is EndingKind.HANG)
    tell(table(name, mutant.claim, mutant.caught_by, found) + (f"\n    hung: {hung}" if hung else ""))
    assert not missed(mutant.caught_by, found), f"{name} was not found wrong by these"
    blind = [form for form in mutant.hardware if not found_on_hardware(form, runs, tmp_path)]
    assert not blind, f"{name} was not found wrong by the forms for hardware of these"


@waits
@nightly
def test_the_form_of_a_loader_that_dies_sees_one_that_lives(boots: Boots, tmp_path: Path) -> None:
    """No firmware makes GRUB die or live: what has to be found is a boot in which the loader did its work."""
    (run,) = boots.runs(REGISTRY.base, (LINUX,))
    found = judged(checks()[LOADER_DIES], on_hardware(run, tmp_path / "record"))
    assert [finding.kind for finding in found if finding.kind == "kernel-started"]


@waits
@nightly
@pytest.mark.parametrize("name", EQUIVALENT)
def test_equivalent_mutant_is_not_told_apart(name: str, boots: Boots) -> None:
    """Whatever tells it apart one day makes a mutant of it."""
    runs = boots.runs(name, EQUIVALENT[name].boots)
    assert [str(catch.finding) for run in runs for catch in catches(run)] == []


@waits
@nightly
@pytest.mark.parametrize("name", GUESTS)
def test_a_wrong_guest_is_blamed_itself(name: str, boots: Boots, tell: Callable[[str], None]) -> None:
    guest = GUESTS[name]
    run = boots.changed(guest.boots, cmdline=guest.options)
    found = list(catches(run))
    tell(table(name, guest.claim, guest.caught_by, found))
    assert {catch.finding.check for catch in found} == set(guest.caught_by), run.cell.id
    assert [str(catch.finding) for catch in found if "loader" not in str(catch.finding)] == []


@waits
@nightly
@pytest.mark.parametrize("name", HOSTS)
def test_a_wrong_host_is_blamed_itself(name: str, boots: Boots, tell: Callable[[str], None]) -> None:
    host = HOSTS[name]
    run = boots.changed(host.boots, emulation=name, firmware=REGISTRY.under_hosts)
    found = list(catches(run))
    tell(table(name, host.claim, host.caught_by, found))
    assert not missed(host.caught_by, found)
    # Of a boot that ended early a run asks only what such a boot can answer.
    said = [it for check in run.checks for it in judge(run, check, first=check is run.checks[0]).findings]
    assert said
    assert [str(finding) for finding in said if "host" not in finding.what] == []


def missed(wanted: tuple[str, ...], found: list[Catch]) -> set[str]:
    return set(wanted) - {catch.finding.check for catch in found}


def table(name: str, claim: str, wanted: tuple[str, ...], found: list[Catch]) -> str:
    """Return a mutant's lines of the table: each check that has to speak, with its first finding."""
    lines = [f"{name}: {claim}"]
    for check in wanted:
        first = next((catch for catch in found if catch.finding.check == check), None)
        lines += [
            f"    {'NOT ' if first is None else ''}caught by {check}",
            *(first.lines() if first else ()),
        ]
    every = ", ".join(dict.fromkeys(catch.finding.check for catch in found))
    return "\n".join([*lines, f"    all that spoke: {every or 'none'}"])


def test_every_patch_is_a_mutant() -> None:
    assert sorted(BOOTS) == sorted(path.stem for path in HERE.glob("*.patch"))
    assert all(read_patches(path) for path in HERE.glob("*.patch"))
    entries = (REGISTRY.mutants, REGISTRY.equivalent, REGISTRY.guests, REGISTRY.hosts)
    by_name = (MUTANTS, EQUIVALENT, GUESTS, HOSTS)
    assert [len(kind) for kind in entries] == [len(names) for names in by_name], "a name is taken"
    assert len(MUTANTS) >= LEAST


def test_mutants_name_checks_that_exist() -> None:
    """And every form for hardware is seen to fail."""
    wanted = [it.caught_by for it in REGISTRY.mutants]
    wanted += [it.caught_by for it in REGISTRY.guests]
    wanted += [it.caught_by for it in REGISTRY.hosts]
    assert set(chain.from_iterable(wanted)) <= set(checks())
    forms = {name for name, check in checks().items() if check.by_page_states is not None}
    assert {LOADER_DIES} | {name for mutant in REGISTRY.mutants for name in mutant.hardware} == forms


def test_each_check_of_the_exit_protocol_has_a_mutant_in_ci() -> None:
    of_exit = {row.check.name for row in TABLE if row.check.name.startswith(EXIT)}
    assert len(of_exit) > 10
    assert of_exit <= {name for mutant in REGISTRY.mutants if mutant.ci for name in mutant.caught_by}


def test_mutants_name_cells_that_exist(request: pytest.FixtureRequest) -> None:
    planned = set(Boots(request.config.stash[SESSION]).planned)
    named = set(chain.from_iterable(BOOTS.values()))
    alone = {it.boots for it in REGISTRY.guests} | {it.boots for it in REGISTRY.hosts}
    assert named | alone <= planned
    assert planned <= named | alone, "a cell that no mutant boots"


def test_only_what_was_judged_of_a_boot_that_did_not_hang_counts() -> None:
    def missing(_: object) -> Iterator[Problem]:
        yield Problem("wrong", "it is wrong")
        raise EvidenceError("no ledger", "")

    def found(kind: EndingKind) -> list[str]:
        run = SimpleNamespace(
            record=SimpleNamespace(ending=SimpleNamespace(kind=kind)),
            cell=SimpleNamespace(id="cell", platform="plain"),
            checks=(Check("speaks", "?", missing), Check("mute", "?", lambda _: iter(()))),
            traits=None,
            evidence=None,
        )
        return [catch.finding.what for catch in catches(cast("Any", run))]

    assert found(EndingKind.TERMINATED) == ["it is wrong"]
    assert found(EndingKind.HANG) == []
