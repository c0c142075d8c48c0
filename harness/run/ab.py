# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two values of one axis, booted in turn (A, B, A, B, …) and judged: a run of the kind ``ab``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ExitCode, HarnessError
from harness.matrix.cell import AXES, Cell
from harness.matrix.plan import NOTHING_SAID
from harness.paths import SHIPPED
from harness.results.ab.page import Pair
from harness.results.folder import StoredRun
from harness.results.model import BAD
from harness.run.axis_values import read_value
from harness.run.judge import judge
from harness.run.options import nothing_judged
from harness.run.recorder import Invocation, Recorder
from harness.run.session import Session
from harness.run.single.parts import chosen_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.matrix.plan import Said
    from harness.paths import Project
    from harness.progress import Progress
    from harness.run.options import Options


@dataclass(frozen=True)
class Wanted:
    """What a user wants compared: a scenario's file or a CELL, an axis and two values, boots of each."""

    what: str
    axis: str
    a: str
    b: str
    times: int


@dataclass(frozen=True)
class Twins:
    """A cell on either side, what a scenario says about each, and where."""

    a: Cell
    b: Cell
    said_a: Said = NOTHING_SAID
    said_b: Said = NOTHING_SAID
    where: str = "harness ab"

    @property
    def pair(self) -> Pair:
        """Return their ids."""
        return Pair(self.a.id, self.b.id)


def boot_in_turn(
    wanted: Wanted, options: Options, project: Project, progress: Progress
) -> tuple[StoredRun, tuple[Pair, ...]]:
    """Boot and judge both sides ``times`` each, and return the run with its pairs of cells.

    HarnessError for names that are not there, and for a scenario none of whose cells has both sides;
    HostError where the host lacks something for each.
    """
    axes = {wanted.axis: (wanted.a, wanted.b)}
    session = Session(replace(options, axes=axes), project, progress)
    twins = tuple(_twins(wanted, session))
    if not twins:
        hint = "harness plan says which cells there are, and what this host lacks"
        raise HarnessError(f"{wanted.what}: no cell has both sides of {wanted.axis} here", hint)
    _Ab(session, twins, wanted.times).run()
    return StoredRun.load(session.records), tuple(each.pair for each in twins)


def _twins(wanted: Wanted, session: Session) -> Iterator[Twins]:
    path = Path(wanted.what)
    if path.suffix != ".yaml":
        a, b = (chosen_cell(wanted.what, {wanted.axis: text}, session) for text in (wanted.a, wanted.b))
        _refuse_same(wanted, a, b)
        yield Twins(a, b)
        return
    if not path.is_file():
        raise HarnessError(f"{path}: no such file", "give a scenario's file, or a CELL")
    values = [read_value(wanted.axis, it, session.ingredients, session.known) for it in (wanted.a, wanted.b)]
    _refuse_same(wanted, *values)
    plan = session.narrow(session.plan(path))
    planned = {it.cell: it for it in plan.planned if not it.lacks}
    if plan.planned and not planned:
        raise nothing_judged(it.lacks for it in plan.planned)
    place = AXES.index(wanted.axis)
    only_a = plan.only(lambda cell: cell.values[place] == values[0] and cell in planned)
    for it in session.select(only_a):
        values_b = [values[1] if number == place else value for number, value in enumerate(it.cell.values)]
        other = planned.get(Cell(*values_b))
        if other is not None:
            yield Twins(it.cell, other.cell, it.said, other.said, f"{path}:{plan.line}")


def _refuse_same(wanted: Wanted, a: object, b: object) -> None:
    if a == b:
        raise HarnessError(f"--{wanted.axis}: both sides are {wanted.a}", "name two that differ")


class _Ab:
    """The boots and answers of one comparison."""

    def __init__(self, session: Session, twins: tuple[Twins, ...], times: int) -> None:
        self._session = session
        self._twins = twins
        self._times = times
        self._recorder = Recorder(session.records, self._invocation(), session.progress)
        self._states: set[str] = set()

    def _invocation(self) -> Invocation:
        return Invocation(
            kind="ab",
            command=tuple(sys.argv),
            files=(),
            selection=" ".join(dict.fromkeys(each.where for each in self._twins)),
            scenarios=self._session.project.scenarios,
            ours=SHIPPED,
        )

    def run(self) -> None:
        """Start all boots in turn, judge each when it is over, and write how the run ended."""
        session = self._session
        session.prepare(session.run(cell, said) for cell, said, _ in self._sides())
        turns = [(side, number) for number in range(1, self._times + 1) for side in self._sides()]
        session.context.source.start((cell, number) for (cell, _, _), number in turns)
        for (cell, said, where), number in turns:
            self._judge(cell, said, where, number)
        bad = self._states & BAD
        code = ExitCode.OK if not bad else ExitCode.HOST if bad == {"host-error"} else ExitCode.WRONG
        self._recorder.end(code)

    def _sides(self) -> Iterator[tuple[Cell, Said, str]]:
        for each in self._twins:
            yield each.a, each.said_a, each.where
            yield each.b, each.said_b, each.where

    def _judge(self, cell: Cell, said: Said, where: str, number: int) -> None:
        run = self._session.run(cell, said, number)
        failed = []
        for check in run.checks:
            answer = judge(run, check, first=check is run.checks[0])
            self._recorder.answer(run, answer, where)
            self._states.add(answer.state)
            failed += [check.name] if answer.state in BAD else []
        self._recorder.verdict(run)
        told = f"{', '.join(failed)} failed" if failed else "no check failed"
        self._session.progress(f"{number} of {self._times}: {cell.id}: {told}")
