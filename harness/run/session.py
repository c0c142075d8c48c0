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
from harness.checks.registry import check_names
from harness.checks.rollout import OUTCOMES
from harness.errors import HarnessError
from harness.evidence.record import INDEX
from harness.matrix.axes import AXES
from harness.matrix.expand import plan
from harness.matrix.pairs import selection
from harness.matrix.plan import NOTHING_SAID
from harness.matrix.schema import load_scenario
from harness.platforms import kvm
from harness.platforms.choice import of_records, on_host, wanted
from harness.platforms.host import Host, survey
from harness.platforms.registry import platform_named, platforms
from harness.recipes.versions import versions
from harness.run.cell_run import CellRun, writable
from harness.run.estimate import by_end, longest_first
from harness.run.options import Options, lacks, substitutions
from harness.run.pool import BootPool, Demand, host_capacity, host_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from pathlib import Path

    from harness.evidence.record import BootRecord
    from harness.matrix.cell import Cell
    from harness.matrix.choices import Known
    from harness.matrix.expand import Substitution
    from harness.matrix.plan import Plan, Planned, Said
    from harness.paths import Project
    from harness.progress import Progress


_PLATFORM = AXES.index("platform")
"""Which part of a cell's id names its platform."""


class Session:
    """The ingredients, the host and the boots of one run; each is looked up when first needed."""

    def __init__(self, options: Options, project: Project, progress: Progress) -> None:
        self.options = options
        self.project = project
        self._progress = progress
        self._runs: dict[tuple[Cell, Said], CellRun] = {}
        self._names: dict[str, Path] = {}
        self.boots: dict[Cell, Future[BootRecord]] = {}
        """Boots that are queued, run or are over; a cell of two scenarios has one."""
        self._build_failure: HarnessError | None = None
        self.records = options.records.absolute() if options.records else _new_records(project.out)
        """The folder that receives a record per cell."""

    @cached_property
    def ingredients(self) -> Ingredients:
        return Ingredients(self.project, self._progress)

    @cached_property
    def host(self) -> Host:
        return survey(kvm_trouble=lambda: kvm.trouble(self.ingredients.qemu))

    @cached_property
    def capacity(self) -> Demand:
        """What boots may take of this host together."""
        capacity = host_capacity()
        return Demand(self.options.boots or capacity.cpus, capacity.memory_mib)

    @cached_property
    def _pool(self) -> BootPool:
        return BootPool(self.capacity)

    @cached_property
    def known(self) -> Known:
        """The names that scenarios may use."""
        catalog = self.ingredients.catalog
        return replace(
            catalog.known(),
            versions=versions(catalog, self.ingredients.lock_of),
            platform=frozenset(platforms()),
            outcome=frozenset(OUTCOMES),
            check=check_names(),
        )

    @cached_property
    def _substitutions(self) -> tuple[Substitution, ...]:
        return substitutions(self.options, self.ingredients)

    def plan(self, path: Path) -> Plan:
        """Expand a scenario file for this host and the user's choices; HarnessError with every mistake."""
        document = load_scenario(path, self.known)
        made, choice = plan(document, self._resolve(), self._substitutions), self.options.platform
        if (first := self._names.setdefault(made.scenario, path)) != path:
            raise document.error_at(("name",), f"the name {made.scenario!r} is taken by {first}")
        made = made.without(
            lambda planned: "" if wanted(choice, planned.cell.platform) else f"not on platform {choice}"
        )
        if self.options.replay is not None:
            return made
        has = host_size()
        return replace(
            made, planned=tuple(replace(it, lacks=lacks(it, self.host, has)) for it in made.planned)
        )

    def select(self, plan: Plan) -> tuple[Planned, ...]:
        """Give the cells that this run judges: a selection, or those that the replayed folder holds."""
        replay = self.options.replay
        if replay is None:
            return selection(plan, full=self.options.full)
        return tuple(planned for planned in plan.planned if (replay / planned.cell.id).is_dir())

    def run(self, cell: Cell, said: Said = NOTHING_SAID) -> CellRun:
        if (cell, said) not in self._runs:
            self._runs[cell, said] = CellRun(self, cell, said)
        return self._runs[cell, said]

    def prepare(self, runs: Iterable[CellRun], *, build: bool) -> None:
        """Fetch what the cells are judged by, and with ``build`` all that their boots need.

        Done before the first cell is shown, so that what cannot be had is told once and not by every cell.
        """
        if self.options.replay is not None:
            return
        runs = tuple(runs)
        for run in runs:
            _ = run.traits, run.entry
        if runs and build:
            self._build()

    def _build(self) -> None:
        """Build what all boots share, or fail as before: a failed build takes minutes each time."""
        if self._build_failure is not None:
            raise self._build_failure
        try:
            _ = self.ingredients.initrd, self.ingredients.qemu
        except HarnessError as error:
            self._build_failure = error
            raise

    def by_start(self, runs: Iterable[CellRun]) -> list[CellRun]:
        """Order runs as their boots should start: the longest first."""
        return longest_first(list(runs), lambda run: run.seconds)

    def by_end(self, runs: Iterable[CellRun]) -> list[CellRun]:
        """Order runs as their boots will end: who judges them in this order waits least."""
        return by_end(self.by_start(runs), lambda run: run.seconds, lambda run: run.demand, self.capacity)

    def schedule(self, runs: Iterable[CellRun]) -> None:
        """Start the boots of ``runs`` in the background, the longest first, as many at once as fit."""
        if self.options.replay is not None:
            return
        for run in self.by_start(runs):
            with writable(self.records):
                self.records.mkdir(parents=True, exist_ok=True)
            run.schedule(self._pool)

    def close(self) -> None:
        if "_pool" in self.__dict__:
            self._pool.cancel()

    def _resolve(self) -> Callable[[str], str]:
        replay = self.options.replay
        if replay is None:
            return on_host(self.options.platform, self.host)
        if not replay.is_dir():
            raise HarnessError(f"--replay {replay}: no such folder", "give a folder of boot records")
        return of_records(self.options.platform, _platforms_of(replay))


def _platforms_of(records: Path) -> frozenset[str]:
    """Return the platforms of a folder's records; HarnessError for one that nothing here adds."""
    found: dict[str, Path] = {}
    for path in records.iterdir():
        parts = path.name.split("+")
        if len(parts) > _PLATFORM and (path / INDEX).is_file():
            found.setdefault(parts[_PLATFORM], path)
    return frozenset(platform_named(name, str(path)).name for name, path in found.items())


def _new_records(out: Path) -> Path:
    # Local time: it is a name for the person at this machine; records hold UTC.
    return out / "records" / datetime.now().astimezone().strftime(f"%Y%m%d-%H%M%S-{os.getpid()}")
