# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A scenario file as pytest nodes: one per cell, and for each an item per check."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks.asked import checks
from harness.errors import HarnessError
from harness.matrix.plan import StatedOutcome
from harness.pytest_plugin.cell_items import (
    ALL_THERE,
    REQUIREMENTS,
    SESSION,
    TOLD,
    CheckItem,
    LackingItem,
    LeftItem,
    in_short,
    shown_path,
)
from harness.pytest_plugin.unmade import UnmadeItem, unmade_names
from harness.run.keywords import about, compiled, tagged
from harness.run.source import concerns_one_cell
from harness.store.asking import NotMadeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest._code.code import TerminalRepr, TracebackStyle
    from _pytest.mark.expression import Expression

    from harness.artifacts.named import Named
    from harness.matrix.cell import Cell
    from harness.matrix.plan import KnownBad, Plan, Planned
    from harness.run.cell_run import CellRun
    from harness.run.session import Session

CHOSEN = pytest.StashKey["list[Chosen]"]()


LATER = pytest.StashKey["list[Later]"]()
"""Cells that boot while the run goes on, once what they need is made; not there when all is made before."""


@dataclass(frozen=True)
class Chosen:
    """The cells of a scenario that a run takes, out of ``plan``: what the command line left of ``whole``."""

    path: Path
    planned: tuple[Planned, ...]
    plan: Plan
    whole: Plan


def choose(config: pytest.Config, path: Path) -> Chosen:
    """Plan a scenario and choose its cells as the command line says: names, ``-k``, ``-m``, ``--full``."""
    session = config.stash[SESSION]
    whole = session.plan(path)
    plan = session.narrow(whole)
    if (marks := config.getoption("markexpr")) and not tagged(marks, plan.tags):
        plan = plan.only(lambda _: False)
    asked = named(config, path)
    if asked is None and plan.selection == "on-request" and not session.options.full:
        return Chosen(path, (), plan, whole)
    if asked:
        plan = plan.only(lambda cell: cell.id in asked)
        return Chosen(path, plan.planned, plan, whole)
    if words := config.getoption("keyword"):
        names = path.relative_to(config.rootpath).parts if path.is_relative_to(config.rootpath) else ()
        keep = {it.cell for it in plan.planned if _has_item(session, it, names, compiled(words))}
        plan = plan.only(keep.__contains__)
    return Chosen(path, session.select(plan), plan, whole)


def named(config: pytest.Config, path: Path) -> set[str] | None:
    """Return the cells of a scenario file that the command line names (``x.yaml::CELL``).

    Empty: it names the file itself. None: it names neither.
    """
    found: set[str] | None = None
    for argument in config.args:
        file, *names = argument.split("::")
        if (config.invocation_params.dir / file).resolve() == path.resolve():
            if not names:
                return set()
            found = {*(found or ()), names[0]}
    return found


def _has_item(session: Session, planned: Planned, above: tuple[str, ...], expression: Expression) -> bool:
    """Return whether ``-k`` selects an item of a cell, or may: its checks can follow from what is not made.

    It needs ingredients only where the answer depends on which checks ask about the cell.
    """
    names = (*above, planned.cell.id)
    items = [REQUIREMENTS] if planned.lacks else [*checks()]
    chosen = {about(expression, (*names, item)) for item in items}
    if len(chosen) == 1:
        return chosen.pop()
    try:
        own = session.run(planned.cell, planned.said).checks
    except NotMadeError:
        return True
    except HarnessError as error:
        if not concerns_one_cell(error):
            raise
        own = (ALL_THERE,)
    return any(about(expression, (*names, check.name)) for check in own)


class ScenarioFile(pytest.File):
    """A scenario: its cells on this host."""

    def collect(self) -> Iterator[pytest.Collector]:
        """Return a node for each cell to run; HarnessError with all that is wrong with the scenario."""
        session = self.config.stash[SESSION]
        try:
            chosen = choose(self.config, self.path)
            nodes = [(self._runs(it, chosen.plan), it.lacks) for it in chosen.planned]
            runs = [run for attempts, lacks in nodes if not lacks for run in attempts]
            later = session.lacking(run.cell for run in runs) if LATER in self.config.stash else {}
            left = session.prepare(run for run in runs if run.cell not in later)
            if not later:
                refuse_idle_rules(session, chosen, [run for run in runs if run.cell not in left])
        except HarnessError as error:
            told = self.config.stash[TOLD]
            if str(error) in told:
                return  # the first scenario has failed with it, which is enough to end the run
            told.add(str(error))
            raise
        self.config.stash[CHOSEN].append(chosen)
        where = f"{shown_path(self.config, self.path)}:{chosen.plan.line}"
        for tag in chosen.plan.tags:
            self.config.addinivalue_line("markers", f"{tag}: a tag of scenarios")
            self.add_marker(tag)
        for attempts, lacks in nodes:
            cell = attempts[0].cell
            if cell in later and not lacks:
                self.config.stash[LATER].append(Later(self, attempts, where, later[cell]))
                continue
            yield CellNode.from_parent(
                self, name=cell.id, runs=attempts, lacks=lacks, where=where, left=left.get(cell)
            )

    def _runs(self, planned: Planned, plan: Plan) -> tuple[CellRun, ...]:
        """Return the attempts of a cell; with ``--lf`` also those that failed in a run that made more."""
        session, cell = self.config.stash[SESSION], planned.cell
        numbers = {1} if planned.lacks else set(session.attempts(plan, cell))
        if self.config.getoption("lf", False) and session.options.replay is None:
            failed = re.compile(rf"{re.escape(f'{self.nodeid}::{cell.id}::')}.*\[(\d+)\]")
            before = self.config.cache.get("cache/lastfailed", {})
            numbers |= {int(found[1]) for name in before if (found := failed.fullmatch(name))}
        return tuple(session.run(cell, planned.said, number) for number in sorted(numbers))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        del style  # collection has only one
        return in_short(excinfo) or super().repr_failure(excinfo)


def refuse_idle_rules(session: Session, chosen: Chosen, runs: list[CellRun]) -> None:
    """Raise HarnessError for a known-bad check, or an expected outcome, that changes nothing.

    None of the rule's cells gets the check, or the rollout model says the same of all of them. Only known
    when the run takes all of them as the scenario writes them.
    """
    options = session.options
    if options.axes or options.replay is not None or options.platform != "auto":
        return
    taken = {run.cell: run for run in runs if _known(run)}
    about_cells: dict[KnownBad | StatedOutcome, list[Cell]] = {}
    for planned in chosen.whole.planned:
        for rule in (planned.said.expect, *planned.said.known_bad):
            if rule is not None:
                about_cells.setdefault(rule, []).append(planned.cell)
    for rule, cells in about_cells.items():
        if taken.keys() >= set(cells):
            _refuse_idle(rule, [taken[cell] for cell in cells])


def _known(run: CellRun) -> bool:
    """Return whether what the cell's checks follow from has been made."""
    try:
        return bool(run.checks)
    except NotMadeError:
        return False


def _refuse_idle(rule: KnownBad | StatedOutcome, runs: list[CellRun]) -> None:
    if isinstance(rule, StatedOutcome):
        if all(run.modelled.outcome == rule.outcome for run in runs):
            raise HarnessError(
                f"{rule.where}: expect: the rollout model says {rule.outcome} too",
                "leave the rule out",
            )
        return
    asked = {check.name for run in runs for check in run.checks}
    if idle := [check for check in rule.checks if check not in asked]:
        raise HarnessError(
            f"{rule.where}: known-bad: {', '.join(idle)}: asked of no cell that the rule is about",
            f"their checks are {', '.join(sorted(asked))}",
        )


class CellNode(pytest.Collector):
    """A cell's boots; ``lacks`` is what this host lacks for them, ``where`` the scenario's file and line.

    ``left`` says why this cell alone cannot boot, or could not be judged.
    """

    def __init__(
        self,
        *,
        runs: tuple[CellRun, ...],
        lacks: str,
        where: str,
        left: HarnessError | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.left = left
        self.runs = runs
        self.lacks = lacks
        self.where = where

    def collect(self) -> Iterator[pytest.Item]:
        """Return an item for each check of each boot, or the one that says what is lacking or is not made."""
        cell = self.runs[0].cell
        if self.lacks:
            yield LackingItem.from_parent(
                self, name=REQUIREMENTS, cell=cell, lacks=self.lacks, where=self.where
            )
            return
        if self.left is not None:
            yield LeftItem.from_parent(
                self, name=REQUIREMENTS, run=self.runs[0], error=self.left, where=self.where
            )
            return
        for run in self.runs:
            try:
                asked = run.checks
            except NotMadeError:  # in a run that makes nothing
                for name in unmade_names(self):
                    yield UnmadeItem.from_parent(self, name=name, run=run)
                return
            for check in asked:
                name = check.name if run.attempt == 1 else f"{check.name}[{run.attempt}]"
                nodeid = f"{self.nodeid}::{name}"  # whole, so that pytest takes [2] for what it is in a test
                yield CheckItem.from_parent(
                    self, name=name, nodeid=nodeid, run=run, check=check, where=self.where
                )

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        del style  # collection has only one
        return in_short(excinfo) or super().repr_failure(excinfo)


@dataclass(frozen=True, eq=False)
class Later:
    """A cell of a scenario file that boots once all of ``needs`` is made."""

    file: ScenarioFile
    runs: tuple[CellRun, ...]
    where: str
    needs: tuple[Named, ...]

    @property
    def cell(self) -> Cell:
        """The cell."""
        return self.runs[0].cell

    def items(self, error: HarnessError | None) -> list[pytest.Item]:
        """Return the items of the cell, or the one that fails with why what it needs cannot be had."""
        node = CellNode.from_parent(
            self.file, name=self.cell.id, runs=self.runs, lacks="", where=self.where, left=error
        )
        return [*node.collect()]
