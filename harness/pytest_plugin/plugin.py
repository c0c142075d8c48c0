# SPDX-License-Identifier: BSD-2-Clause-Patent
"""pytest's front door: options, and scenario files as tests. Loaded by ``harness.pytest_plugin.opt_in``.

A scenario file, a YAML file in the project's folder ``scenarios`` or named on the command line, is collected
as one node per cell, and each cell as one item per check. All items of a cell read the record of one boot. A
boot that ends otherwise than expected fails its first item; the others then say that there was nothing to
judge.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.firmware.choice import FIRMWARE_FORMS
from harness.artifacts.wanted import unmade
from harness.errors import HarnessError
from harness.matrix.cell import platform_of
from harness.matrix.show import count
from harness.platforms.choice import AUTO
from harness.platforms.registry import platform_named, platforms
from harness.progress import say_over
from harness.pytest_plugin.cell_items import SESSION, TOLD, CheckItem
from harness.pytest_plugin.earlier import earlier_run
from harness.pytest_plugin.exit_codes import end_run
from harness.pytest_plugin.items import CHOSEN, Chosen, ScenarioFile, choose, named
from harness.pytest_plugin.opt_in import start
from harness.pytest_plugin.own.dimensions import OWN
from harness.pytest_plugin.own.items import cell_of_item, platforms_of, runs_a_guest, wanted_runs
from harness.pytest_plugin.results import start_recorder
from harness.pytest_plugin.wrong_selection import refuse_wrong_selection
from harness.recipes.project import find_project
from harness.run.axis_options import PLATFORM_HELP, add_axis_options, axis_options, from_one, platform_choice
from harness.run.budget import Budget
from harness.run.keywords import also_taken, compiled
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    from harness.paths import Project
    from harness.progress import Progress

_WORKER_RECORDS = "harness_records"
_WORKER_BUDGET = "harness_budget"
BUDGET = pytest.StashKey["TemporaryDirectory[str]"]()
WANTED = pytest.StashKey[dict[pytest.Item, Any]]()
"""The cells whose boots have not been started, by the items that need them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose cells and say how they boot."""
    group = parser.getgroup("harness", "confidential guests")
    group.addoption(
        "--platform",
        type=platform_choice,
        default=AUTO,
        metavar="NAME",
        help=PLATFORM_HELP,
    )
    add_axis_options(group.addoption)
    group.addoption(
        "--full",
        action="store_true",
        help="boot all cells; without it, as many of a scenario's as cover every pair of axis values",
    )
    group.addoption(
        "--require-platform",
        type=platform_choice,
        action="append",
        metavar="NAME",
        default=[],
        help="fail unless cells of this platform are selected (may be given several times)",
    )
    group.addoption(
        "--attempts",
        type=from_one,
        metavar="N",
        help="boot each cell of scenarios N times and judge each boot (default: the scenario's repeat, or 1)",
    )
    group.addoption(
        "--against",
        metavar=FIRMWARE_FORMS,
        default="",
        help="judge relative to this firmware, which boots where one fails: what both fail alike is known",
    )
    group.addoption(
        "--records",
        type=Path,
        metavar="DIR",
        help="folder for boot records (default: a new one below out/records)",
    )
    group.addoption(
        "--replay", type=Path, metavar="DIR", help="judge the stored boot records in DIR again; boot nothing"
    )
    group.addoption(
        "--boots",
        type=from_one,
        metavar="N",
        help="boots at once (default: as processors and memory allow)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Open the session of this run, in the project in which it was started."""
    worker = getattr(config, "workerinput", {})
    records = worker.get(_WORKER_RECORDS)
    project = _project(config)
    earlier, resume = earlier_run(config, project)
    options = Options(
        platform=config.getoption("--platform"),
        records=Path(records) if records else config.getoption("--records"),
        replay=config.getoption("--replay"),
        boots=config.getoption("--boots"),
        wait=not config.getoption("--no-wait"),
        full=config.getoption("--full"),
        attempts=config.getoption("--attempts"),
        against=config.getoption("--against"),
        earlier=earlier,
        resume=resume,
        hold_on_fail=config.getoption("--hold-on-fail"),
        axes=axis_options(config.option),
        cells=tuple(config.getoption("--cell")),
        budget=Path(worker[_WORKER_BUDGET]) if _WORKER_BUDGET in worker else None,
        make=not config.option.collectonly,
    )
    config.stash[SESSION] = Session(options, project, _progress(config))
    start_recorder(config)
    config.stash[TOLD] = set()
    config.stash[CHOSEN] = []
    config.addinivalue_line("markers", "qemu: starts a real QEMU")


def _project(config: pytest.Config) -> Project:
    """Return the project in which the run was started, else that of pytest's root directory."""
    here = config.invocation_params.dir
    try:
        return find_project(start(config, config.args) or here, out=here)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse options that cannot be followed before any file is collected, or any worker started."""
    if hasattr(session.config, "workerinput"):
        return
    try:
        if words := session.config.getoption("keyword"):
            compiled(words)
        session.config.stash[SESSION].check_options()
    except HarnessError as error:
        end_run(session.config, error)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: all workers write to one folder and share the host's processors and memory."""
    session, stash = node.config.stash[SESSION], node.config.stash
    if BUDGET not in stash:
        stash[BUDGET] = TemporaryDirectory(prefix="harness-")
        Budget.create(Path(stash[BUDGET].name, "budget"), session.capacity)
    node.workerinput[_WORKER_RECORDS] = str(session.records)
    node.workerinput[_WORKER_BUDGET] = str(Path(stash[BUDGET].name, "budget"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """xdist: a worker cannot end a run with a message, so its controller looks at the names it collected."""
    config = node.config
    if not config.pluginmanager.getplugin("session").testsfailed:
        _tell_selection_of_workers(config, ids)
        try:
            refuse_wrong_selection(config, _platforms_in(config.stash[SESSION], ids))
        except HarnessError as error:
            end_run(config, error)


def _tell_selection_of_workers(config: pytest.Config, ids: list[str]) -> None:
    """Say what ``pytest_report_collectionfinish`` says in a run without workers, once."""
    if config.stash[CHOSEN]:
        return
    files = dict.fromkeys(file for name in ids if (file := name.partition("::")[0]).endswith(".yaml"))
    config.stash[CHOSEN] += [choose(config, config.rootpath / file) for file in files]
    reporter = config.pluginmanager.getplugin("terminalreporter")
    for line in _selection_told(config) if reporter is not None else ():
        reporter.ensure_newline()
        reporter.write_line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """xdist: keep a boot's items on one worker, for each worker that has one of them boots the cell."""
    if config.getvalue("dist") not in {"load", "loadgroup", "worksteal"}:
        return None  # the others do
    # Untyped, and needless in a run without workers.
    from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]  # noqa: PLC0415

    config.option.loadscopereorder = False  # the workers give cells in order, the longest boot first

    class CellScheduling(LoadGroupScheduling):  # type: ignore[misc]  # because it is untyped
        def _split_scope(self, nodeid: str) -> str:
            return _boot_of(nodeid) or super()._split_scope(nodeid)

    return CellScheduling(config, log)


def _boot_of(nodeid: str) -> str:
    """Return the boot that an item's name is about: its cell, and the attempt in ``CELL::check[2]``."""
    cell = _cell_of(nodeid)
    attempt = nodeid.rpartition("[")[2] if nodeid.partition("::")[0].endswith(".yaml") else ""
    return f"{cell}[{attempt}" if attempt.endswith("]") else cell


def _cell_of(nodeid: str) -> str:
    """Return the cell in ``scenarios/x.yaml::CELL::check``; "" for the name of any other item.

    Of ``test_x.py::test[CELL-more]`` what comes before the first axis that an id may leave out: a test's own
    parameters follow, and nothing says where they begin.
    """
    path, name, *_ = *nodeid.split("::"), ""
    if path.endswith(".yaml"):
        return name
    *parts, last = nodeid.partition("[")[2].split("+")[:5]
    platform = max((name for name in platforms() if last.startswith(name)), key=len, default="")
    return "+".join([*parts, platform]) if len(parts) == 4 and platform else ""


def _platforms_in(session: Session, ids: list[str]) -> set[str]:
    """Return the platforms of the cells in items' names; in a replay of those that it holds."""
    cells = {cell for name in ids if (cell := _cell_of(name))}
    if (replay := session.options.replay) is not None:
        held = {path.name for path in replay.iterdir()}
        cells = {cell for cell in cells if any(name.startswith(cell) for name in held)}
    return {platform_of(cell) for cell in cells}


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what still boots, and forget the budget that workers shared."""
    if session := config.stash.get(SESSION, None):
        session.close()
    if folder := config.stash.get(BUDGET, None):
        folder.cleanup()


def _progress(config: pytest.Config) -> Progress:
    """Long work (downloads, builds) must show, so its lines go past pytest's capturing."""

    def tell(line: str) -> None:
        reporter = config.pluginmanager.getplugin("terminalreporter")
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            if reporter is None or hasattr(config, "workerinput"):
                say_over(f"harness: {line}")  # a worker of xdist has its controller's standard error alone
            else:
                reporter.ensure_newline()
                reporter.write_line(f"harness: {line}")
                reporter.flush()  # a log file is read while it grows

    return tell


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take YAML files in the project's scenario folder, and those that were named."""
    if file_path.suffix != ".yaml":
        return None
    config = parent.config
    folder = config.stash[SESSION].project.scenarios
    if file_path.resolve().is_relative_to(folder.resolve()) or named(config, file_path) is not None:
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put cells in the order in which their boots end, so that no record waits to be judged.

    A worker of xdist boots a cell when its items' turn has come: there the longest boot is first.
    """
    worker, session = hasattr(config, "workerinput"), config.stash[SESSION]
    try:
        runs = wanted_runs(items, own=not worker and not config.option.collectonly)
        session.prepare([run for item, run in runs.items() if not isinstance(item, CheckItem)])
        order = (session.by_start if worker else session.by_end)(dict.fromkeys(runs.values()))
    except HarnessError as error:
        end_run(config, error)
    place = {run.name: number for number, run in enumerate(order)}
    last = len(place)
    # Whoever wants no boot goes first; who runs a guest alone has the host to itself when the boots are over.
    items.sort(key=lambda it: place[runs[it].name] if it in runs else last if runs_a_guest(it) else -1)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Return how many cells the selection leaves, and with ``--collect-only`` what their boots lack."""
    session = config.stash[SESSION]
    if session.options.make or session.options.replay is not None:
        return _selection_told(config)
    cells = dict.fromkeys(cell for item in items if (cell := cell_of_item(item)) is not None)
    lines = [f"a run would fetch or build {line}" for line in unmade(cells, session.ingredients)]
    return [*_selection_told(config), *lines]


def _boots_told(chosen: list[Chosen], session: Session) -> str:
    """Return how many boots the cells are where some boot more than once."""
    boots = sum(len(session.attempts(one.plan, it.cell)) for one in chosen for it in one.planned)
    return f", {count(boots, 'boot')}" if boots > sum(len(one.planned) for one in chosen) else ""


def _selection_told(config: pytest.Config) -> list[str]:
    chosen = config.stash[CHOSEN]
    words = config.getoption("keyword")
    cells = [planned.cell for one in chosen for planned in one.planned]
    return [
        *_counted(chosen, _boots_told(chosen, config.stash[SESSION])),
        *also_taken(compiled(words) if words else None, cells),
    ]


def _counted(chosen: list[Chosen], boots: str) -> list[str]:
    taken, every = sum(len(one.planned) for one in chosen), sum(len(one.plan.planned) for one in chosen)
    if taken < every:
        return [f"scenarios: {taken} of {every} cells, every pair of axis values{boots}; --full runs all"]
    return [f"scenarios: {count(taken, 'cell')}{boots}"] if chosen else []


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the boots of the selected items, several at once; an xdist worker boots only what it is given.

    Without scenarios they wait for the first item that needs one: what runs before is no boot's business.
    """
    config = session.config
    if hasattr(config, "workerinput") or session.testsfailed:
        return
    try:
        refuse_wrong_selection(config, platforms_of(session))
    except HarnessError as error:
        end_run(config, error)
    if config.option.collectonly:
        return
    config.stash[WANTED] = wanted_runs(session.items)
    if not any(isinstance(item, CheckItem) for item in config.stash[WANTED]):
        return
    try:
        _start_wanted(config)
    except HarnessError as error:
        end_run(config, error)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the boots when the first test comes that needs one."""
    if item in item.config.stash.get(WANTED, {}):
        with suppress(HarnessError):  # the test that asks for the boot tells it
            _start_wanted(item.config)


def _start_wanted(config: pytest.Config) -> None:
    wanted, config.stash[WANTED] = config.stash[WANTED], {}
    failed = config.cache.get("cache/lastfailed", {}) if config.getoption("failedfirst", False) else {}
    first = [run for item, run in wanted.items() if item.nodeid in failed]
    for runs in (first, wanted.values()):
        config.stash[SESSION].schedule(dict.fromkeys(runs))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which cells ran on another platform than asked, and where the records are."""
    session = config.stash[SESSION]
    if session.records.is_dir():
        for asked, used in _fallen_back(config) if session.options.replay is None else ():
            lacking = "; ".join(platform_named(asked).lacking(session.host))
            terminalreporter.write_line(f"platform: {asked} cells ran as {used} here ({lacking})")
        terminalreporter.write_line(f"boot records: {session.records}")


def _fallen_back(config: pytest.Config) -> list[tuple[str, str]]:
    """Return the platforms that scenarios and tests name, and the ones that their cells ran on instead."""
    planned = (it for one in config.stash[CHOSEN] for it in one.planned)
    pairs = config.stash[OWN] | {(it.platform_asked, it.cell.platform) for it in planned}
    return sorted((asked, used) for asked, used in pairs if asked != used)
