# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Can the scenarios fail? Wrong firmware is built and booted, and each must be caught by a direct check.

A mutant is judged by what the unmutated firmware can do: what is read from its own image would excuse it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, cast

import pytest
from pydantic import Field

from harness import checks
from harness.checks.finding import Check, Finding, Problem
from harness.documents.document import load
from harness.documents.strict import Strict
from harness.errors import HarnessError
from harness.evidence.problems import EvidenceError
from harness.evidence.record import EndingKind
from harness.formats.patches import read_patches
from harness.pytest_plugin.cell_items import SESSION
from harness.recipes.common import Name
from harness.run.cell_run import CellRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.artifacts.traits import FirmwareTraits, Traits
    from harness.matrix.cell import Cell
    from harness.matrix.plan import Planned, Said
    from harness.run.session import Session
    from harness.run.source import Context

HERE = Path(__file__).parent
Text = Annotated[str, Field(min_length=1)]


class Mutant(Strict):
    """One wrong firmware; ``caught_by`` names checks of which at least one must find it wrong."""

    name: Name
    claim: Text
    caught_by: tuple[Text, ...] = Field(min_length=1, alias="caught-by")

    @property
    def patch(self) -> Path:
        return HERE / f"{self.name}.patch"


class MutantFile(Strict):
    """``mutants.yaml``."""

    base: Name
    mutants: tuple[Mutant, ...]


FILE = load(HERE / "mutants.yaml", MutantFile)
BY_NAME = {mutant.name: mutant for mutant in FILE.mutants}
TESTS = {FILE.base: "test_unmutated_firmware_passes"} | {
    name: f"test_mutant_is_caught[{name}]" for name in BY_NAME
}


class ClaimedRun(CellRun):
    """A cell that is judged by given traits of its firmware, not by those of the image.

    What the scenario calls known bad of the base says nothing about a mutant, and is not asked.
    """

    def __init__(self, context: Context, cell: Cell, said: Said, claimed: FirmwareTraits) -> None:
        super().__init__(context, cell, said)
        self._claimed = claimed

    @cached_property
    def traits(self) -> Traits:
        return dataclasses.replace(super().traits, firmware=self._claimed)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        return tuple(check for check in super().checks if not self.said.bad(check.name))


@dataclass(frozen=True)
class Catch:
    """A finding, and the cell whose boot it is about."""

    cell: str
    finding: Finding

    def lines(self) -> list[str]:
        shown = self.finding.evidence[:1] or ("(the finding itself is all that there is to show)",)
        return [f"    {self.cell}: {self.finding.what}", *(f"        {line.strip()}" for line in shown)]


class Firmware:
    """The base and its mutants: each is built once and boots in every cell of the scenario."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._started: dict[str, list[CellRun] | HarnessError] = {}

    @cached_property
    def planned(self) -> tuple[Planned, ...]:
        return self._session.plan(HERE / "scenario.yaml").planned

    def start(self, name: str) -> None:
        """Build the base or a mutant and queue its boots; they run while the next one is built."""
        if name in self._started:
            return
        try:
            self._started[name] = runs = self._runs(name)
            self._session.schedule(runs)
        except HarnessError as error:
            self._started[name] = error  # it is this one's fault: told by its own test

    def _runs(self, name: str) -> list[CellRun]:
        chosen = FILE.base if name == FILE.base else f"mutant-{name}"
        ingredients = self._session.ingredients
        if name != FILE.base:
            base = ingredients.firmware_recipe(FILE.base)
            patches = (*base.patches, BY_NAME[name].patch)
            ingredients.add_firmware(dataclasses.replace(base, name=chosen, patches=patches, expect=()))
        claimed = ingredients.firmware(FILE.base).traits
        return [
            ClaimedRun(
                self._session.context,
                dataclasses.replace(planned.cell, firmware=chosen),
                planned.said,
                claimed,
            )
            for planned in self.planned
        ]

    def runs(self, name: str) -> list[CellRun]:
        self.start(name)
        started = self._started[name]
        if isinstance(started, HarnessError):
            pytest.fail(str(started), pytrace=False)
        return started


@pytest.fixture(scope="session")
def firmware(request: pytest.FixtureRequest) -> Firmware:
    made = Firmware(request.config.stash[SESSION])
    if not hasattr(request.config, "workerinput"):  # a worker of xdist starts what it is given
        selected = {item.name for item in request.session.items}
        for name, test in TESTS.items():
            if test in selected:
                made.start(name)
    return made


def catches(run: CellRun) -> Iterator[Catch]:
    """Yield what the checks found wrong.

    Not what they could not judge: missing evidence says nothing about the mutant. Nor anything about a boot
    that hung, since whatever did not happen by the deadline would count.
    """
    if run.record.ending.kind is EndingKind.HANG:
        return
    for check in run.checks:
        if check.not_applicable(run.cell.platform, run.traits):
            continue
        try:
            for finding in check.findings(run.evidence):
                yield Catch(run.cell.id, finding)
        except EvidenceError:
            continue


@pytest.mark.nightly
@pytest.mark.timeout(0)  # every wait of a boot has its own deadline
def test_unmutated_firmware_passes(firmware: Firmware) -> None:
    wrong = [
        f"{run.cell.id}: {finding}"
        for run in firmware.runs(FILE.base)
        for check in run.checks
        if not check.not_applicable(run.cell.platform, run.traits)
        for finding in check(run.evidence)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.nightly
@pytest.mark.timeout(0)  # every wait of a boot has its own deadline
@pytest.mark.parametrize("name", BY_NAME)
def test_mutant_is_caught(name: str, firmware: Firmware, tell: Callable[[str], None]) -> None:
    mutant, runs = BY_NAME[name], firmware.runs(name)
    found = [catch for run in runs for catch in catches(run)]
    every = ", ".join(dict.fromkeys(catch.finding.check for catch in found))
    hung = ", ".join(run.cell.id for run in runs if run.record.ending.kind is EndingKind.HANG)
    direct = [catch for wanted in mutant.caught_by for catch in found if catch.finding.check == wanted]
    table = [
        f"{name}: {mutant.claim}",
        f"    caught by {direct[0].finding.check}" if direct else "    NOT CAUGHT",
        *(direct[0].lines() if direct else []),
        f"    all that spoke: {every or 'none'}",
        *([f"    hung: {hung}"] if hung else []),
    ]
    tell("\n".join(table))
    assert direct, f"none of {', '.join(mutant.caught_by)} found {name} wrong\n" + "\n".join(table)


def test_every_patch_is_a_mutant() -> None:
    assert sorted(mutant.patch.name for mutant in FILE.mutants) == sorted(
        path.name for path in HERE.glob("*.patch")
    )
    assert len(BY_NAME) == len(FILE.mutants) >= 16
    assert all(read_patches(mutant.patch) for mutant in FILE.mutants)


def test_mutants_name_checks_that_exist() -> None:
    modules = [import_module(found.name) for found in iter_modules(checks.__path__, f"{checks.__name__}.")]
    known = {value.name for module in modules for value in vars(module).values() if isinstance(value, Check)}
    assert {name for mutant in FILE.mutants for name in mutant.caught_by} <= known


def test_only_what_was_judged_of_a_boot_that_did_not_hang_counts() -> None:
    def missing(_: object) -> Iterator[Problem]:
        yield Problem("wrong", "it is wrong")
        raise EvidenceError("no ledger", "")

    def judged(kind: EndingKind) -> list[str]:
        run = SimpleNamespace(
            record=SimpleNamespace(ending=SimpleNamespace(kind=kind)),
            cell=SimpleNamespace(id="cell", platform="plain"),
            checks=(Check("speaks", "?", missing), Check("mute", "?", lambda _: iter(()))),
            traits=None,
            evidence=None,
        )
        return [catch.finding.what for catch in catches(cast("Any", run))]

    assert judged(EndingKind.TERMINATED) == ["it is wrong"]
    assert judged(EndingKind.HANG) == []
