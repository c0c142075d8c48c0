# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tests of somebody's own among the items of scenarios: which boots they want, and how their errors read."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.matrix.cell import AXES
from harness.pytest_plugin.cell_items import SESSION, CheckItem, LeftItem
from harness.pytest_plugin.items import LATER
from harness.pytest_plugin.own.dimensions import MARK, NAMES, is_ours, where
from harness.pytest_plugin.own.machines import RUNNING
from harness.pytest_plugin.unmade import UnmadeItem
from harness.run.own_tests import cell_of, folder_name
from harness.store.packing import is_there

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from harness.matrix.cell import Cell
    from harness.run.cell_run import CellRun

_OF_THE_BOOT = {"spec", "boot", "record"}
"""Fixtures that decide what boots; with a module's own in their place nothing is known before."""


def own_cell(item: pytest.Item) -> Cell | None:
    """Return the cell of a test that has one, when it is known before the test's fixtures run."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if not all(NAMES[axis] in params for axis in AXES) or item.get_closest_marker("skip") is not None:
        return None
    values = {axis: params[NAMES[axis]] for axis in AXES}
    return cell_of(item.config.stash[SESSION], values, where(item))


def cell_of_item(item: pytest.Item) -> Cell | None:
    """Return the cell that an item of a scenario, or a test, is about, when it is known before it runs."""
    return item.run.cell if isinstance(item, CheckItem | UnmadeItem) else own_cell(item)


def wanted_runs(items: Iterable[pytest.Item], *, own: bool = True) -> dict[pytest.Item, CellRun]:
    """Return the runs of the cells whose records items need; ``own``: of tests outside scenarios, too."""
    runs = {
        item: item.run if isinstance(item, CheckItem) else _own_run(item) if own else None for item in items
    }
    return {item: run for item, run in runs.items() if run is not None}


def platforms_of(collected: pytest.Session) -> set[str]:
    """Return the platforms of the collected cells, those to come too; in a replay of those that it holds."""
    found = {it.cell.platform for it in collected.config.stash.get(LATER, [])}
    replay = collected.config.stash[SESSION].options.replay
    for item in collected.items:
        cell = item.cell if isinstance(item, LeftItem) else cell_of_item(item)
        if cell is None:
            continue
        if replay is None or any(is_there(replay / name) for name in (cell.id, folder_name(item.nodeid))):
            found.add(cell.platform)
    return found


def _own_run(item: pytest.Item) -> CellRun | None:
    if not isinstance(item, pytest.Function) or (cell := own_cell(item)) is None:
        return None
    asked = set(item.fixturenames)
    if not asked & {"record", "evidence"} and ("check" not in asked or "boot" in asked):
        return None
    session = item.config.stash[SESSION]
    known = all(is_ours(item, name) for name in _OF_THE_BOOT) and session.context.source.holds(cell)
    return session.run(cell) if known else None


def runs_a_guest(item: pytest.Item) -> bool:
    """Return whether a test runs a guest of its own, beside the boots that several tests share."""
    return isinstance(item, pytest.Function) and bool(RUNNING & set(item.fixturenames))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell an error of the harness in a test with a cell as its message, and where the test was.

    A traceback through the harness would say nothing more to who wrote the test.
    """
    info = call.excinfo
    if info is not None and isinstance(info.value, HarnessError) and _has_cell(item):
        place = _place(item, info) if call.when == "call" else ""
        error = pytest.fail.Exception(f"{place}{info.value}", pytrace=False)
        call.excinfo = pytest.ExceptionInfo.from_exception(error.with_traceback(info.tb))
    report = yield
    call.excinfo = info  # others look at the error itself
    return report


def _has_cell(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and not {MARK, *NAMES.values()}.isdisjoint(item.fixturenames)


def _place(item: pytest.Item, info: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the line of the test's file at which it stood; an error that is raised again has older ones."""
    for entry in info.traceback:
        if str(entry.path) == str(item.path):
            code = linecache.getline(str(item.path), entry.lineno + 1).strip()
            return f"{where(item).rpartition(':')[0]}:{entry.lineno + 1}: {code}\n"
    return ""
