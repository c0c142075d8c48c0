# SPDX-License-Identifier: BSD-2-Clause-Patent
"""pytest's front door: options, and scenario files as tests. Registered as a ``pytest11`` entry point.

A scenario file ``scenarios/*.yaml`` is collected as one node per cell, and each cell as one item per check.
All items of a cell read the record of one boot. A boot that ends otherwise than expected fails its first
item; the others then say that there was nothing to judge.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.filelock import say
from harness.artifacts.firmware_choice import FORMS
from harness.errors import HarnessError
from harness.platforms.platform import CHOICES, PLATFORMS
from harness.session import CellRun, Options, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest._code.code import TerminalRepr, TracebackStyle

    from harness.artifacts.filelock import Progress
    from harness.checks.finding import Check, Finding

SESSION = pytest.StashKey[Session]()
TOLD = pytest.StashKey[set[str]]()
FOLDER = "scenarios"
_WORKER_RECORDS = "harness_records"
pytest_plugins = ["harness.pytest_firmware"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "confidential guests")
    group.addoption(
        "--platform",
        choices=CHOICES,
        default="auto",
        help="auto: as the scenario says, SNP cells on hardware where the host has it, else emulated; "
        "snp, snp-emulated, plain: only cells of this platform",
    )
    group.addoption(
        "--firmware",
        action="append",
        default=[],
        metavar=FORMS,
        help="boot this firmware in place of what the scenarios name: a recipe, an image or an edk2 tree "
        "(may be given several times)",
    )
    group.addoption(
        "--require-platform",
        choices=PLATFORMS,
        action="append",
        default=[],
        help="fail unless cells of this platform are selected (may be given several times)",
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
        "--boots", type=int, metavar="N", help="boots at once (default: as processors and memory allow)"
    )


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", {})
    records = worker.get(_WORKER_RECORDS)
    options = Options(
        platform=config.getoption("--platform"),
        records=Path(records) if records else config.getoption("--records"),
        replay=config.getoption("--replay"),
        boots=config.getoption("--boots"),
        firmware=tuple(config.getoption("--firmware")),
    )
    config.stash[SESSION] = Session(options, config.rootpath, _progress(config))
    config.stash[TOLD] = set()
    config.addinivalue_line("markers", "qemu: starts a real QEMU")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: all workers write to one folder."""
    node.workerinput[_WORKER_RECORDS] = str(node.config.stash[SESSION].records)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """xdist: a worker cannot end a run with a message, so its controller looks at the names it collected."""
    if not node.config.pluginmanager.getplugin("session").testsfailed:
        cells = {cell for name in ids if (cell := _cell_of(name))}
        # A cell's fifth part is its platform.
        _refuse_wrong_selection(node.config, {cell.split("+")[4] for cell in cells})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """xdist: keep a cell's items on one worker, for each worker that has one of them boots the cell."""
    if config.getvalue("dist") not in {"load", "loadgroup", "worksteal"}:
        return None  # the others do
    # Untyped, and needless in a run without workers.
    from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]  # noqa: PLC0415

    class CellScheduling(LoadGroupScheduling):  # type: ignore[misc]  # because it is untyped
        def _split_scope(self, nodeid: str) -> str:
            return _cell_of(nodeid) or super()._split_scope(nodeid)

    return CellScheduling(config, log)


def _cell_of(nodeid: str) -> str:
    """Give the cell in ``scenarios/x.yaml::cell::check``; "" for the name of any other item."""
    path, cell, *_ = *nodeid.split("::"), ""
    return cell if path.endswith(".yaml") else ""


def pytest_unconfigure(config: pytest.Config) -> None:
    if session := config.stash.get(SESSION, None):
        session.close()


def _progress(config: pytest.Config) -> Progress:
    """Long work (downloads, builds) must show, so it is told past pytest's capturing."""

    def tell(line: str) -> None:
        reporter = config.pluginmanager.getplugin("terminalreporter")
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            if reporter is None or hasattr(config, "workerinput"):
                say(f"harness: {line}")  # a worker of xdist has its controller's standard error alone
            else:
                reporter.ensure_newline()
                reporter.write_line(f"harness: {line}")
                reporter.flush()  # a log file is read while it grows

    return tell


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".yaml" and file_path.parent.name == FOLDER:
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the boots of the selected items, several at once; an xdist worker boots only what it is given."""
    config = session.config
    runs = list(dict.fromkeys(item.run for item in session.items if isinstance(item, CheckItem)))
    if hasattr(config, "workerinput") or session.testsfailed:
        return
    _refuse_wrong_selection(config, {run.cell.platform for run in runs})
    if config.option.collectonly:
        return
    try:
        config.stash[SESSION].schedule(runs)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error


def _refuse_wrong_selection(config: pytest.Config, platforms: set[str]) -> None:
    """Raise ``UsageError`` when nothing of a required platform, or of the replayed folder, is selected."""
    session = config.stash[SESSION]
    if missing := [name for name in config.getoption("--require-platform") if name not in platforms]:
        here = "; ".join(session.host.why)
        raise pytest.UsageError(f"--require-platform {missing[0]}: no selected cell runs on it ({here})")
    if session.options.replay is not None and not platforms:
        raise pytest.UsageError(
            f"--replay {session.options.replay}: it holds no boot record of a selected cell"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    session = config.stash[SESSION]
    if session.records.is_dir():
        host = session.host
        if not host.sev_snp and session.options.replay is None:
            terminalreporter.write_line(f"platform: SNP cells were emulated here ({'; '.join(host.why)})")
        terminalreporter.write_line(f"boot records: {session.records}")


class ScenarioFile(pytest.File):
    """A scenario: its cells on this host."""

    def collect(self) -> Iterator[pytest.Collector]:
        session = self.config.stash[SESSION]
        try:
            runs = [session.run(cell) for cell in session.cells(self.path)]
            session.prepare(runs, build=not self.config.option.collectonly)
        except HarnessError as error:
            told = self.config.stash[TOLD]
            if str(error) in told:
                return  # the first scenario has failed with it, which is enough to end the run
            told.add(str(error))
            raise
        for run in runs:
            yield CellNode.from_parent(self, name=run.cell.id, run=run)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        del style  # collection has only one
        return _in_short(excinfo) or super().repr_failure(excinfo)


class CellNode(pytest.Collector):
    """One boot."""

    def __init__(self, *, run: CellRun, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.run = run

    def collect(self) -> Iterator[pytest.Item]:
        for check in self.run.checks:
            yield CheckItem.from_parent(self, name=check.name, run=self.run, check=check)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        del style  # collection has only one
        return _in_short(excinfo) or super().repr_failure(excinfo)


class FindingsError(Exception):
    """A check's findings, for `CheckItem.repr_failure` to show."""

    def __init__(self, findings: list[Finding], record: Path) -> None:
        shown = "\n".join(str(finding) for finding in findings)
        super().__init__(f"{shown}\n\nboot record: {record}")


class CheckItem(pytest.Item):
    """One question to one boot's record."""

    def __init__(self, *, run: CellRun, check: Check, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.run = run
        self.check = check
        self.add_marker(pytest.mark.timeout(0))  # every wait of a boot has its own deadline

    def runtest(self) -> None:
        platform = self.run.cell.platform
        self.user_properties += [("platform", platform), ("question", self.check.question)]
        if reason := self.check.not_applicable(platform):
            pytest.skip(reason)
        if failure := self.run.root_failure:
            # Whichever item is selected: one of the cell fails, so that no selection hides the failure.
            if self.run.failure_told:
                pytest.skip(f"not judged: {failure}")
            self.run.failure_told = True
            if self.check is not self.run.checks[0]:
                raise HarnessError(f"there is nothing to judge: {failure}")
        record = self.run.record
        self.user_properties.append(("record", str(record.path)))
        if findings := self.check(self.run.evidence):
            raise FindingsError(findings, record.path)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        return _in_short(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.run.cell.id}: {self.check.name}"


def _in_short(excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    """Give the text meant for the user, without a traceback; "" for an error that is ours."""
    return str(excinfo.value) if isinstance(excinfo.value, (HarnessError, FindingsError)) else ""
