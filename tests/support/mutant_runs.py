# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The boots of mutants, each in the cells that its entry names, and what the checks find in them.

A mutant is judged by what the unmutated firmware can do, on a host that does nothing wrong: what is read from
its own image, or what its emulated host does, would excuse it.
"""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from harness.checks.asked import checks
from harness.errors import HarnessError
from harness.evidence.evidence import Evidence
from harness.evidence.problems import EvidenceError
from harness.evidence.record import EndingKind
from harness.run.cell_run import CellRun
from tests.support.mutants import HERE, REGISTRY, key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from harness.artifacts.traits import FirmwareTraits, Traits
    from harness.checks.finding import Check, Finding
    from harness.matrix.cell import Cell
    from harness.matrix.plan import Planned, Said
    from harness.run.session import Session
    from harness.run.source import Context

EXACT = "ledger.jsonl"


class ClaimedRun(CellRun):
    """A cell that is judged by given traits of its firmware and by a fair host.

    What the scenario calls known bad of the base says nothing about a mutant, and is not asked.
    """

    def __init__(self, context: Context, cell: Cell, said: Said, claimed: FirmwareTraits) -> None:
        super().__init__(context, cell, said)
        self._claimed = claimed

    @cached_property
    def traits(self) -> Traits:
        return dataclasses.replace(super().traits, firmware=self._claimed, faults=())

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


class Boots:
    """Boots of the base and its mutants: each firmware is built once, each boot is one of the session's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._started: dict[tuple[str, tuple[str, ...]], list[CellRun] | HarnessError] = {}

    @cached_property
    def planned(self) -> dict[str, Planned]:
        plan = self._session.plan(HERE / "scenario.yaml").planned
        return {key(each.cell): each for each in plan}

    def start(self, name: str, boots: Iterable[str]) -> None:
        """Build the base or a mutant and queue its boots; they run while the next one is built."""
        wanted = (name, tuple(boots))
        if wanted in self._started:
            return
        try:
            self._started[wanted] = runs = self._runs(*wanted)
            self._session.schedule(runs)
        except HarnessError as error:
            self._started[wanted] = error  # it is this one's fault: told by its own test

    def runs(self, name: str, boots: Iterable[str]) -> list[CellRun]:
        self.start(name, boots)
        started = self._started[name, tuple(boots)]
        if isinstance(started, HarnessError):
            pytest.fail(str(started), pytrace=False)
        return started

    def changed(self, boots: str, **changes: str) -> CellRun:
        """Return the boot of the base in a cell that differs, also in its firmware."""
        planned = self.planned[boots]
        cell = dataclasses.replace(planned.cell, **changes)  # type: ignore[arg-type]
        return ClaimedRun(self._session.context, cell, planned.said, self._claimed(cell.firmware))

    def _claimed(self, firmware: str = REGISTRY.base) -> FirmwareTraits:
        return self._session.ingredients.firmware(firmware).traits

    def _runs(self, name: str, boots: tuple[str, ...]) -> list[CellRun]:
        chosen = REGISTRY.base if name == REGISTRY.base else f"mutant-{name}"
        ingredients = self._session.ingredients
        if name != REGISTRY.base:
            base = ingredients.firmware_recipe(REGISTRY.base)
            patches = (*base.patches, HERE / f"{name}.patch")
            ingredients.add_firmware(dataclasses.replace(base, name=chosen, patches=patches, expect=()))
        return [
            ClaimedRun(
                self._session.context,
                dataclasses.replace(self.planned[each].cell, firmware=chosen),
                self.planned[each].said,
                self._claimed(),
            )
            for each in boots
        ]


def catches(run: CellRun) -> Iterator[Catch]:
    """Yield what the checks found wrong.

    Not what they could not judge: missing evidence says nothing about the mutant. Nor anything about a boot
    that hung, since whatever did not happen by the deadline would count.
    """
    if run.record.ending.kind is EndingKind.HANG:
        return
    for check in run.checks:
        if not check.not_applicable(run.cell.platform, run.traits):
            yield from (Catch(run.cell.id, finding) for finding in judged(check, run.evidence))


def judged(check: Check, evidence: Evidence) -> list[Finding]:
    """Return what a check finds up to where it cannot judge."""
    found: list[Finding] = []
    try:
        for finding in check.findings(evidence):
            found.append(finding)  # noqa: PERF402 - the next may raise
    except EvidenceError:
        pass
    return found


def on_hardware(run: CellRun, folder: Path) -> Evidence:
    """Return what hardware would have left of a boot: a copy of its record without the ledger."""
    shutil.copytree(run.record.path, folder, ignore=shutil.ignore_patterns(EXACT))
    record = dataclasses.replace(run.record, path=folder, platform="snp")
    cell = dataclasses.replace(run.cell, platform="snp")
    return Evidence(record, cell, run.traits, run.evidence.signatures)


def found_on_hardware(name: str, runs: list[CellRun], folder: Path) -> list[Finding]:
    """Return what the form for hardware of a check finds in any of the boots that it asks."""
    check = checks()[name]
    assert check.by_page_states is not None, f"{name} has no form for hardware"
    return [
        finding
        for number, run in enumerate(runs)
        if check in run.checks
        for finding in judged(check, on_hardware(run, folder / f"{name}-{number}"))
    ]


def order(names: Iterable[str]) -> list[str]:
    """Return mutants so that those which change the same files follow each other: builds are shorter."""

    def touched(name: str) -> list[str]:
        lines = (HERE / f"{name}.patch").read_bytes().splitlines()
        return sorted(line.decode().split()[1] for line in lines if line.startswith(b"+++ "))

    return sorted(names, key=lambda name: (touched(name), name))
