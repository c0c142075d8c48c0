# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How a run ends: with pytest's exit codes, and with the house's where a HarnessError ended it.

pytest says 2, "interrupted", for every error at collection. Where all of these are the harness's own, the
run says whose fault they are: 4 the user's, 6 the host's, 1 the subject's. A run in which nothing but the
host failed says 6, and so does one that judged no cell because the host lacks something for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from harness.errors import ExitCode, HarnessError
from harness.pytest_plugin.cell_items import Lack
from harness.pytest_plugin.own.items import cell_of_item
from harness.run.options import nothing_judged

if TYPE_CHECKING:
    from collections.abc import Generator

    from _pytest.reports import BaseReport

_CODE = "harness_exit_code"
"""Attribute of a report whose failure is a HarnessError; xdist hands it from a worker to the controller."""
_LACK = "harness_lack"
"""Attribute of the report of a cell's item: what the host lacks for the cell, "" when nothing."""


def pytest_configure(config: pytest.Config) -> None:
    """Watch the outcome of the run, where its exit code is made: not in a worker of xdist."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Outcome())


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Note on the report of a collection whose fault its failure is."""
    del collector  # its report is all that is looked at
    report = yield
    _mark(report, getattr(report, "call", None))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note on the report of a test whose fault its failure is, and what the host lacks for its cell."""
    report = yield
    _mark(report, call)
    if (lack := _lack(item, call)) is not None:
        setattr(report, _LACK, lack)
    return report


def _mark(report: BaseReport, call: pytest.CallInfo[Any] | None) -> None:
    if call is not None and call.excinfo is not None and isinstance(call.excinfo.value, HarnessError):
        setattr(report, _CODE, int(call.excinfo.value.exit_code))


def _lack(item: pytest.Item, call: pytest.CallInfo[None]) -> str | None:
    """Return what the host lacks for the cell of an item that is over; None for an item without a cell."""
    error = None if call.excinfo is None else call.excinfo.value
    if isinstance(error, pytest.skip.Exception) and isinstance(error.msg, Lack):
        return str(error.msg)  # a text that xdist can hand over
    try:
        return "" if call.when == "call" and cell_of_item(item) is not None else None
    except HarnessError:
        return None  # values that make no cell


class _Outcome:
    """Gathers whose fault the failures of a run are, and what cells lacked.

    Only in the process that the user started.
    """

    def __init__(self) -> None:
        self._collected: set[int | None] = set()
        self._ran: set[int | None] = set()
        self._lacks: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._collected.add(getattr(report, _CODE, None))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._ran.add(getattr(report, _CODE, None))

        if (lack := getattr(report, _LACK, None)) is not None:
            self._lacks.append(lack)

    @property
    def _judged_nothing(self) -> bool:
        """Whether there were cells, and the host lacked something for each."""
        return bool(self._lacks) and all(self._lacks)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._judged_nothing:
            error = nothing_judged(self._lacks)
            terminalreporter.write_line(f"ERROR: {error}", red=True)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and self._judged_nothing:
            session.exitstatus = ExitCode.HOST
        if exitstatus not in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED}:
            return
        if self._collected and not self._ran and None not in self._collected:
            by_weight = (ExitCode.MISTAKE, ExitCode.HOST, ExitCode.WRONG)
            session.exitstatus = next(code for code in by_weight if code in self._collected)
        elif self._ran == {ExitCode.HOST} and not self._collected:
            session.exitstatus = ExitCode.HOST


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Shorten the traceback of a run that has said why it ends.

    pytest looks up the source of each function in it, most of them its own, for a text that it seldom shows.
    """
    if isinstance(excinfo.value, pytest.exit.Exception | pytest.Session.Interrupted):
        excinfo.traceback = excinfo.traceback[-2:]


def end_run(config: pytest.Config, error: HarnessError) -> NoReturn:
    """End the run with one message and the error's exit code, as pytest does for a wrong option."""
    if error.exit_code == ExitCode.MISTAKE:
        raise pytest.UsageError(str(error)) from error
    if reporter := config.pluginmanager.getplugin("terminalreporter"):
        reporter.ensure_newline()
        reporter.write_line(f"ERROR: {error}", red=True)
    pytest.exit(f"exit code {error.exit_code:d}", returncode=error.exit_code)
