# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run's results as data: the recorder of this process, verdicts in records, the run's end.

Whichever process judges writes: pytest itself, or a worker of xdist. The process that the user started says
that the run is over.
"""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from harness.matrix.show import count
from harness.paths import SHIPPED
from harness.pytest_plugin.cell_items import CAUSES, QUARANTINE, RECORDER, SESSION, CheckItem
from harness.pytest_plugin.earlier import refuse_another_run
from harness.pytest_plugin.items import CHOSEN
from harness.results.causes import shared_causes
from harness.results.causes import told as cause_told
from harness.results.flakes import rates_told
from harness.results.folder import RUN, StoredRun
from harness.results.quarantine import FILE, Quarantine
from harness.run.recorder import Invocation, Recorder

if TYPE_CHECKING:
    from harness.run.session import Session


_MOST_CAUSES = 10
ASKED = pytest.StashKey["set[tuple[str, str]]"]()
"""Of workers: pairs of cell and check."""


def start_recorder(config: pytest.Config) -> None:
    """Put the recorder of this process into the stash."""
    session = config.stash[SESSION]
    worker = getattr(config, "workerinput", {})
    command = worker.get("mainargv", sys.argv)
    invocation = Invocation(
        kind="scenarios" if session.options.replay is None else "replay",
        command=tuple(map(str, command)),
        files=tuple(config.args),
        selection=_selection(config, session),
        scenarios=session.project.scenarios,
        ours=SHIPPED,
    )
    refuse_another_run(config, invocation)
    config.stash[RECORDER] = Recorder(session.records, invocation, session.progress)
    config.stash[CAUSES] = {}
    config.stash[QUARANTINE] = Quarantine.load(session.project.scenarios.parent / FILE)


def _selection(config: pytest.Config, session: Session) -> str:
    """Return what limits the cells of this run, in words that two runs can be compared by."""
    options = session.options
    words = [f"-k {words}"] if (words := config.getoption("keyword")) else []
    words += [f"-m {marks}"] if (marks := config.getoption("markexpr")) else []
    words += [f"--{axis} {value}" for axis, values in options.axes.items() for value in values]
    words += ["--full"] if options.full else []
    words += [f"--platform {options.platform}"] if options.platform != "auto" else []
    return " ".join(words)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """After the last question to a cell in a scenario, its record says how it was judged."""
    result = yield
    following = nextitem.run if isinstance(nextitem, CheckItem) else None
    if isinstance(item, CheckItem) and item.run is not following:
        item.config.stash[RECORDER].verdict(item.run)
    return result


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write how the run ended, in the process that the user started; quarantine that is over fails it."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    if session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        for line in _quarantine_problems(config, session):
            config.stash[SESSION].progress(line)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    config.stash[RECORDER].end(int(session.exitstatus))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many boots were carried over, how often repeated ones ended how, and what is flaky."""
    session, chosen = config.stash[SESSION], config.stash[CHOSEN]
    if session.options.earlier is not None and not session.options.resume:
        boots = StoredRun.load(session.records).boots if (session.records / RUN).is_file() else ()
        carried = sum(bool(boot.carried) for boot in boots)
        told = f"{carried} of {count(len(boots), 'boot')} carried over"
        terminalreporter.write_line(f"since {session.options.earlier.name}: {told}, with the same inputs")
    if (session.records / RUN).is_file():
        _tell_causes(terminalreporter, StoredRun.load(session.records))
    repeats = any(len(session.attempts(one.plan, it.cell)) > 1 for one in chosen for it in one.planned)
    if not repeats or not (session.records / RUN).is_file():
        return
    terminalreporter.section("repeated boots")
    for line in rates_told(StoredRun.load(session.records)):
        terminalreporter.write_line(line)


def _tell_causes(reporter: pytest.TerminalReporter, run: StoredRun) -> None:
    """Say what may be behind the failures, where it shows in several answers or is known elsewhere."""
    found = shared_causes(run)
    if not found:
        return
    reporter.section("what may be behind the failures")
    for number, cause in enumerate(found[:_MOST_CAUSES], start=1):
        first, *more = cause_told(cause)
        reporter.write_line(f"{number}. {first}")
        for line in more:
            reporter.write_line(f"  {line}")
    if len(found) > _MOST_CAUSES:
        reporter.write_line(f"and {len(found) - _MOST_CAUSES} more: harness summary {run.path}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """xdist: workers judge; their controller ends the run, and has only the names that they collected."""
    parts = (name.split("::") for name in ids)
    found = {
        (names[1], names[2].partition("[")[0]) for names in parts if len(names) == 3 and ".yaml" in names[0]
    }
    node.config.stash.setdefault(ASKED, set()).update(found)


def _quarantine_problems(config: pytest.Config, session: pytest.Session) -> list[str]:
    """Return which entries have expired, and in a run of all that there is which meet nothing."""
    items = (item for item in getattr(session, "items", ()) if isinstance(item, CheckItem))
    of_workers: set[tuple[str, str]] = config.stash.get(ASKED, set())
    asked = {(item.run.cell.id, item.check.name) for item in items} | of_workers
    if not asked:
        return []
    whole = _selection(config, config.stash[SESSION]) == "--full" and not config.getoption("replay")
    return config.stash[QUARANTINE].problems(asked, date.today(), whole=whole)  # noqa: DTZ011  # a day here
