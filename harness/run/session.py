# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One run of scenarios: from their files to boots and to the evidence that checks read.

This is where the rooms meet; the front doors hold no more than their own wording.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from harness.artifacts.ingredients import Ingredients
from harness.artifacts.wanted import lacking
from harness.boot.cell_machine import elsewhere
from harness.checks.asked import checks
from harness.checks.rollout import OUTCOMES
from harness.errors import HarnessError
from harness.evidence.signatures.signatures import signatures_of
from harness.matrix.expand import plan
from harness.matrix.filters import CellFilter, read_filter
from harness.matrix.pairs import selection
from harness.matrix.plan import NOTHING_SAID
from harness.matrix.schema import load_scenario
from harness.platforms import kvm
from harness.platforms.choice import of_records, on_host, wanted
from harness.platforms.host import Host, survey
from harness.platforms.registry import platforms
from harness.platforms.sev import answers
from harness.recipes.versions import versions
from harness.run.axis_values import read_value
from harness.run.boots import Boots, Earlier
from harness.run.cell_run import CellRun
from harness.run.estimate import by_end, by_record, longest_first, recorded_seconds
from harness.run.options import Options, lacks, substitutions
from harness.run.pool import UNCOUNTED, Demand, host_capacity, host_size
from harness.run.replay import Replay
from harness.run.source import Context, concerns_one_cell
from harness.store.asking import Asking, NotMadeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from harness.artifacts.named import Named
    from harness.evidence.signatures.signatures import Signatures
    from harness.matrix.cell import Cell
    from harness.matrix.choices import Known
    from harness.matrix.expand import Substitution
    from harness.matrix.plan import Plan, Planned, Said
    from harness.paths import Project
    from harness.progress import Progress
    from harness.run.source import RecordSource


class Session:
    """The ingredients, the host and the boots of one run; each is looked up when first needed."""

    def __init__(self, options: Options, project: Project, progress: Progress) -> None:
        self.options = options
        self.project = project
        self.progress = progress
        self._runs: dict[tuple[Cell, Said, int], CellRun] = {}
        self._names: dict[str, Path] = {}
        given = options.earlier if options.resume else options.records
        self.records = given.absolute() if given else _new_records(project.out)
        """The folder that receives a record per cell."""

    @cached_property
    def ingredients(self) -> Ingredients:
        """The project's ingredients, whose progress this session tells."""
        return Ingredients(self.project, self.progress, None if self.options.make else Asking())

    @cached_property
    def host(self) -> Host:
        """What this host can do for confidential guests."""
        return survey(kvm_trouble=self._kvm_trouble, ask=answers.ask)

    def _kvm_trouble(self) -> str:
        ingredients = self._asking if self.options.elsewhere else self.ingredients
        try:
            return kvm.trouble(ingredients.qemu)
        except NotMadeError:
            return ""  # QEMU tells once it is built

    @cached_property
    def capacity(self) -> Demand:
        """What boots may take of this host together."""
        capacity = host_capacity()
        free = self.host.free_asids
        asids = UNCOUNTED if free is None else free
        return Demand(self.options.boots or capacity.cpus, capacity.memory_mib, asids=asids)

    @cached_property
    def boots(self) -> Boots:
        """The boots of this run, those of scenarios and those of other tests; they share the host."""
        folder = self.options.earlier
        return Boots(
            self.ingredients,
            self.host,
            self.records,
            self.capacity,
            self.options.budget,
            self.signatures,
            Earlier(folder.absolute(), folder.name) if folder is not None else None,
            self.progress if self.options.hold_on_fail else None,
            wait=self.options.wait,
        )

    @cached_property
    def signatures(self) -> Signatures:
        """What console lines mean: the project's own signatures and the shipped ones."""
        return signatures_of(self.project)

    @cached_property
    def context(self) -> Context:
        """What the runs of cells share: records come from boots, or in a replay from its folder."""
        replay = self.options.replay
        source: RecordSource = self.boots if replay is None else Replay(replay, self.ingredients.catalog)
        return Context(self.ingredients.catalog, source, self.signatures)

    @cached_property
    def known(self) -> Known:
        """The names that scenarios may use."""
        catalog = self.ingredients.catalog
        return replace(
            catalog.known(),
            versions=versions(catalog, self.ingredients.lock_of),
            platform=frozenset(platforms()),
            outcome=frozenset(OUTCOMES),
            check=frozenset(checks()),
        )

    @cached_property
    def substitutions(self) -> tuple[Substitution, ...]:
        """What the user put in the place of scenarios' values."""
        return substitutions(self.options, self.ingredients, self.known)

    def check_options(self) -> None:
        """Raise HarnessError for a choice of the user's that no scenario could follow on this host.

        Raise it for another package's platform or check that cannot be imported, too: once for all files.
        """
        platforms()
        checks()
        if self.options.axes:
            _ = self.substitutions
        _ = self._against
        if self.options.cells:
            _ = self._cell_filter
        if self.options.platform != "auto" or self.options.replay is not None:
            self.resolve()

    @cached_property
    def _cell_filter(self) -> CellFilter:
        """The cells that the user names; a value that takes the place of scenarios' is a name, too."""
        own = {it.axis: frozenset(it.values) for it in self.substitutions if it.axis != "memory"}
        names = {axis: self.known.names(axis) | values for axis, values in own.items()}
        known = replace(self.known, recipes={**self.known.recipes, **names})
        return read_filter(self.options.cells, known)

    def narrow(self, plan: Plan) -> Plan:
        """Return the plan with the cells alone that the user's ``--cell`` names; all of it without one."""
        return self._cell_filter.narrow(plan) if self.options.cells else plan

    def refuse_unmet(self, plans: Iterable[Plan]) -> None:
        """Raise HarnessError when the user's ``--cell`` names a cell that none of these whole plans has."""
        if self.options.cells:
            self._cell_filter.refuse_unmet(plans)

    def plan(self, path: Path) -> Plan:
        """Expand a scenario file for this host and the user's choices; HarnessError with every mistake."""
        document = load_scenario(path, self.known)
        made = plan(document, self.resolve(), self.substitutions)
        if (first := self._names.setdefault(made.scenario, path)) != path:
            raise document.error_at(("name",), f"the name {made.scenario!r} is taken by {first}")
        return self.on_this_host(made)

    def on_this_host(self, made: Plan) -> Plan:
        """Return a plan of the platform that the user chose; each cell says what the host lacks for it."""
        choice = self.options.platform
        made = made.without(
            lambda planned: "" if wanted(choice, planned.cell.platform) else f"not on platform {choice}"
        )
        made = made.without(lambda planned: elsewhere(planned.cell))
        if self.options.replay is not None:
            return made
        has = host_size()
        return replace(
            made, planned=tuple(replace(it, lacks=lacks(it, self.host, has)) for it in made.planned)
        )

    def select(self, plan: Plan) -> tuple[Planned, ...]:
        """Return the cells that this run judges: a selection, or those that the replayed folder holds."""
        if self.options.replay is None:
            return selection(plan, full=self.options.full)
        return tuple(planned for planned in plan.planned if self.context.source.holds(planned.cell))

    def run(self, cell: Cell, said: Said = NOTHING_SAID, attempt: int = 1) -> CellRun:
        """Return the run of a cell's attempt, the same one for the same cell and words about it."""
        key = cell, said, attempt
        if key not in self._runs:
            self._runs[key] = CellRun(self.context, cell, said, attempt)
        return self._runs[key]

    @cached_property
    def _against(self) -> str:
        """The name of the firmware that ``--against`` says, "" for none."""
        text = self.options.against
        return str(read_value("firmware", text, self.ingredients, self.known)) if text else ""

    def base_of(self, run: CellRun) -> CellRun | None:
        """Return the run that another is judged relative to, by ``--against``; None where it is no other."""
        if not self._against or run.cell.firmware == self._against:
            return None
        said = replace(run.said, known_bad=(), elsewhere=())
        return self.run(replace(run.cell, firmware=self._against), said, run.attempt)

    def attempts(self, plan: Plan, cell: Cell) -> tuple[int, ...]:
        """Return the numbers of a cell's boots, those to make, or that the replayed folder holds."""
        if (replay := self.options.replay) is not None:
            return Replay(replay, self.ingredients.catalog).attempts(cell)
        return tuple(range(1, (self.options.attempts or plan.repeat) + 1))

    def lacking(self, cells: Iterable[Cell]) -> Mapping[Cell, tuple[Named, ...]]:
        """Return the cells whose boots need what is not made, with what that is; makes nothing."""
        return lacking(cells, self._asking)

    @cached_property
    def _asking(self) -> Ingredients:
        return self.ingredients.with_store(Asking())

    def prepare(self, runs: Iterable[CellRun]) -> dict[Cell, HarnessError]:
        """Fetch and build what the cells are judged by and what their boots need, where this session may.

        Done before the first cell is shown, so that one message names what cannot be had, and not every cell.
        Return the cells of which alone something is wrong, such as a package that has left the archive.
        """
        runs = tuple(runs)
        left: dict[Cell, HarnessError] = {}
        for run in runs:
            try:
                _ = run.traits
            except NotMadeError:
                continue
            except HarnessError as error:
                if not concerns_one_cell(error):
                    raise
                left[run.cell] = error
        if any(run.cell not in left for run in runs) and self.options.make:
            self.context.source.prepare()
        return left

    def by_start(self, runs: Iterable[CellRun]) -> list[CellRun]:
        """Order runs as their boots should start: the longest first."""
        chosen = list(runs)
        return longest_first(chosen, self._seconds(chosen).__getitem__)

    def by_end(self, runs: Iterable[CellRun]) -> list[CellRun]:
        """Order runs as their boots will end: who judges them in this order waits least."""
        started = self.by_start(runs)
        seconds = self._seconds(started)
        return by_end(started, seconds.__getitem__, lambda run: run.demand, self.capacity)

    def _seconds(self, runs: list[CellRun]) -> dict[CellRun, float]:
        """Return how long boots take, as the last runs recorded it, or a guess."""
        recorded = {run: seconds for run in runs if (seconds := self._recorded.get(run.cell.id))}
        return by_record({run: run.seconds for run in runs}, recorded)

    @cached_property
    def _recorded(self) -> Mapping[str, float]:
        return recorded_seconds(self.project.out / "records") if self.options.replay is None else {}

    def schedule(self, runs: Iterable[CellRun]) -> None:
        """Start the boots of ``runs`` in the background, the longest first, as many at once as fit."""
        self.context.source.start((run.cell, run.attempt) for run in self.by_start(runs))

    def close(self) -> None:
        """Forget the boots that have not begun."""
        if "boots" in self.__dict__:
            self.boots.close()

    def resolve(self) -> Callable[[str], str]:
        """Return what says which platform a scenario's platform is here, or in the replayed folder."""
        replay = self.options.replay
        if replay is None:
            return on_host(self.options.platform, self.host, elsewhere=self.options.elsewhere)
        return of_records(self.options.platform, Replay(replay, self.ingredients.catalog).platforms())


def _new_records(out: Path) -> Path:
    # Local time: it is a name for the person at this machine; records hold UTC.
    return out / "records" / datetime.now().astimezone().strftime(f"%Y%m%d-%H%M%S-{os.getpid()}")
