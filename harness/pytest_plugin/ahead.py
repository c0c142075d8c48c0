# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots that begin before everything is made: each cell boots when all is there that it needs.

A cell's checks follow from traits of its ingredients, so a cell whose ingredients are missing has no items at
collection. They come while the run goes on. One item of the run stands for all that is still being made, and
waits for it when there is nothing else to judge.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.making import Making
from harness.errors import HarnessError
from harness.matrix.show import count
from harness.pytest_plugin.cell_items import SESSION, in_short
from harness.pytest_plugin.exit_codes import end_run
from harness.pytest_plugin.items import CHOSEN, LATER, Later, refuse_idle_rules
from harness.pytest_plugin.own.items import runs_a_guest, wanted_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from _pytest._code.code import TerminalRepr, TracebackStyle

    from harness.artifacts.named import Named
    from harness.matrix.cell import Cell
    from harness.pytest_plugin.items import ScenarioFile

AHEAD = pytest.StashKey["Ahead"]()
_LOOK = 5.0
"""Seconds between two looks at what is being made."""
_BY_ITEM = ("lf", "failedfirst", "newfirst", "stepwise", "deselect", "numprocesses", "tx")
"""Options of pytest and its plugins that choose or order items when all of them are known."""


def may_go_ahead(config: pytest.Config) -> bool:
    """Return whether cells may get their items while the run goes on.

    What chooses among items wants them all at once: workers of xdist, ``--lf``, the name of a cell or check.
    """
    options = config.stash[SESSION].options
    if hasattr(config, "workerinput") or not options.make or options.replay is not None:
        return False
    by_name = any("::" in argument for argument in config.args)
    return not by_name and not any(config.getoption(name, None) for name in _BY_ITEM)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Say to the scenario files whether their cells may come later."""
    if may_go_ahead(session.config):
        session.config.stash[LATER] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to make what is missing."""
    config = session.config
    later = config.stash.get(LATER, [])
    if not later or session.testsfailed:
        return
    things = (it for cell in [*_by_start(later)] for it in cell.needs)
    making = Making(things, config.stash[SESSION].ingredients.for_thread)
    config.stash[AHEAD] = ahead = Ahead(session, later, making)
    config.pluginmanager.register(ahead)
    ahead.begin()


def _by_start(later: list[Later]) -> list[Later]:
    """Return the cells in an order in which the first can boot soon: what most of them need comes first."""
    wanted: dict[Named, int] = {}
    for it in later:
        for named in it.needs:
            wanted[named] = wanted.get(named, 0) + 1
    return sorted(later, key=lambda it: (len(it.needs), -sum(wanted[named] for named in it.needs)))


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Return how many cells boot later, and what they wait for."""
    if not (later := config.stash.get(LATER, [])):
        return []
    names = dict.fromkeys(it.name for cell in later for it in cell.needs)
    return [f"made while others boot: {', '.join(names)} (for {count(len(later), 'cell')})"]


class MakingItem(pytest.Item):
    """Stands for the cells whose ingredients are being made; pytest reports nothing of it."""

    def runtest(self) -> None:
        """Do nothing, for `Ahead` waits in its place."""

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class Ahead:
    """The cells that boot later, what is being made for them, and their items once it is made.

    A plugin of pytest while the run goes on: it looks after each item, and waits in the place of one.
    """

    def __init__(self, session: pytest.Session, later: list[Later], making: Making) -> None:
        self.making = making
        self._session = session
        self._later = later
        self._item = MakingItem.from_parent(session, name="making")
        self._item.add_marker(pytest.mark.timeout(0))  # a compiler may take longer than a test
        self._left: set[Cell] = set()
        self._some_boot = self._booted = bool(session.items)

    def begin(self) -> None:
        """Begin to make; the item that waits comes when all boots are judged, before guests of tests."""
        items = self._session.items
        place = next((i for i, it in enumerate(items) if runs_a_guest(it)), len(items))
        items.insert(place, self._item)
        self.making.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Wait in the place of the item that stands for what is being made; None for all other items."""
        if item is not self._item:
            return None
        new: list[pytest.Item] = []
        while self._later and not (new := self._new_items()):
            self.making.wait(_LOOK)
        if self._later or new:
            self._insert([*new, self._item], self._place() + 1)
        return True

    def pytest_runtest_logfinish(self) -> None:
        """Add the items of cells that can boot now, before the boots run out."""
        if self._later:
            self._insert(self._new_items(), self._place())

    def pytest_unconfigure(self) -> None:
        """Make nothing more when the run ends before all is made."""
        self.making.stop()

    def told(self) -> str:
        """Return what is being made; "" when nothing waits for it."""
        return str(self.making) if self._later else ""

    def _place(self) -> int:
        """Return where the item that waits is; it has been elsewhere before."""
        return max(i for i, it in enumerate(self._session.items) if it is self._item)

    def _insert(self, items: list[pytest.Item], place: int) -> None:
        self._session.items[place:place] = items
        self._session.testscollected += len(items)

    def _progress(self, line: str) -> None:
        self._session.config.stash[SESSION].progress(line)

    def _new_items(self) -> list[pytest.Item]:
        """Return the items of the cells of which all is made now, whose boots start; tell what was done.

        The very first is the shortest, so that there is a verdict early; the others start the longest first.
        """
        for line in self.making.lines():
            self._progress(line)
        ready = [it for it in self._later if self.making.over(it.needs)]
        if not ready:
            return []
        self._later = [it for it in self._later if it not in ready]
        config = self._session.config
        items: list[pytest.Item] = []
        for it in ready:
            error = self.making.error(it.needs)
            self._left |= {it.cell} if error is not None else set()
            items += it.items(error)
        self._refuse_nothing_to_boot(ready)
        items += self._mistakes(dict.fromkeys(it.file for it in ready))
        config.hook.pytest_collection_modifyitems(session=self._session, config=config, items=items)
        runs = wanted_runs(items)
        with suppress(HarnessError):  # the item that asks for the boot tells it
            if runs and not self._booted:
                self._booted = True
                first = min(runs.values(), key=lambda run: run.seconds)
                items.sort(key=lambda item: runs.get(item) is not first)
                config.stash[SESSION].schedule([first])
            config.stash[SESSION].schedule(dict.fromkeys(runs.values()))
        return items

    def _refuse_nothing_to_boot(self, over: list[Later]) -> None:
        """End the run with one message when no cell of it can boot."""
        self._some_boot |= any(it.cell not in self._left for it in over)
        if not self._some_boot and not self._later:
            error = self.making.error(over[0].needs)
            assert error is not None
            end_run(self._session.config, error)

    def _mistakes(self, files: Iterable[ScenarioFile]) -> Iterator[pytest.Item]:
        """Yield an item for each of these files whose rules change nothing, now that all is known."""
        session = self._session.config.stash[SESSION]
        for chosen in self._session.config.stash[CHOSEN]:
            for file in files:
                if file.path != chosen.path or any(it.file is file for it in self._later):
                    continue
                runs = [session.run(it.cell, it.said) for it in chosen.planned if not it.lacks]
                try:
                    refuse_idle_rules(session, chosen, [run for run in runs if run.cell not in self._left])
                except HarnessError as error:
                    yield MistakeItem.from_parent(file, name="rules", error=error)


class MistakeItem(pytest.Item):
    """Fails with a mistake in a scenario that nothing could tell before its ingredients were made."""

    def __init__(self, *, error: HarnessError, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.error = error

    def runtest(self) -> None:
        raise self.error

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        return in_short(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name
