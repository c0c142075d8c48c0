# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The items of a scenario's cells: one for each check of a boot, or one that stands for all of them."""

from __future__ import annotations

import contextlib
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks.finding import Check
from harness.errors import ExitCode, HarnessError
from harness.evidence.signatures.draft import draft_for
from harness.pytest_plugin.findings import FindingsError, KnownBadError, again, has_own
from harness.results.model import BAD
from harness.results.quarantine import Quarantine
from harness.run.judge import Answer, in_quarantine, judge, relative
from harness.run.recorder import Recorder
from harness.run.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest._code.code import TerminalRepr, TracebackStyle

    from harness.matrix.cell import Cell
    from harness.results.model import State
    from harness.run.cell_run import CellRun

SESSION = pytest.StashKey[Session]()
TOLD = pytest.StashKey[set[str]]()
RECORDER = pytest.StashKey[Recorder]()
QUARANTINE = pytest.StashKey[Quarantine]()
CAUSES = pytest.StashKey["dict[tuple[str, Path], str]"]()
"""Boots that went wrong, by name of the run and scenario file: where each appeared first."""


REQUIREMENTS = "requirements"
"""The only item of a cell that this host lacks something for, or the archive."""
ALL_THERE = Check(REQUIREMENTS, "Is all there that the boot needs?", lambda _: iter(()))


class Lack(str):
    """Why a test is skipped: what this host lacks for its cell."""

    __slots__ = ()


def shown_path(config: pytest.Config, path: Path) -> str:
    """Return a scenario file's path as results name it: relative to the project where it lies in it."""
    root = config.stash[SESSION].project.scenarios.parent
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def in_short(excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the text meant for the user, without a traceback; "" for an error that is ours."""
    ours = (HarnessError, FindingsError)
    return str(excinfo.value) if isinstance(excinfo.value, ours) else ""


class CellItem(pytest.Item):
    """An item of a cell; ``where`` is the scenario's file and line."""

    def __init__(self, *, cell: Cell, where: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cell = cell
        self.where = where
        self.user_properties.append(("platform", cell.platform))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        return in_short(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.cell.id}: {self.name}"


class LackingItem(CellItem):
    """Stands for a cell that this host lacks something for, so that the report says so."""

    def __init__(self, *, lacks: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.lacks = lacks

    def runtest(self) -> None:
        self.config.stash[RECORDER].lack(self.cell, self.where, self.lacks)
        pytest.skip(Lack(self.lacks))


class LeftItem(CellItem):
    """Stands for a cell of which something cannot be had: it fails, and the run goes on."""

    def __init__(self, *, run: CellRun, error: HarnessError, **arguments: Any) -> None:
        super().__init__(cell=run.cell, **arguments)
        self.run = run
        self.error = error

    def runtest(self) -> None:
        why = self.error.what.partition("\n")[0]
        state: State = "host-error" if self.error.exit_code == ExitCode.HOST else "cannot-judge"
        answer = Answer(ALL_THERE, state, reason=why, error=self.error)
        self.config.stash[RECORDER].answer(self.run, answer, self.where)
        self.user_properties.append(("state", answer.state))
        raise self.error


class CheckItem(CellItem):
    """One question to one boot's record, asked by the scenario at ``where``."""

    def __init__(self, *, run: CellRun, check: Check, **arguments: Any) -> None:
        super().__init__(cell=run.cell, **arguments)
        self.run = run
        self.check = check
        self.add_marker(pytest.mark.timeout(0))  # every wait of a boot has its own deadline
        if bad := run.said.bad(check.name):
            self.add_marker(pytest.mark.xfail(reason=str(bad), strict=True, raises=KnownBadError))

    def runtest(self) -> None:
        told = self.config.stash[CAUSES]
        key = self.run.name, self.path
        self.user_properties.append(("question", self.check.question))
        judged = self._relative(judge(self.run, self.check, first=key not in told))
        answer = in_quarantine(judged, self.run.cell, self.config.stash[QUARANTINE], date.today())  # noqa: DTZ011
        elsewhere = ""
        if judged.state in BAD and (self.check is self.run.checks[0] or not judged.findings):
            elsewhere = next(
                (where for (name, path), where in told.items() if name == key[0] and path != self.path), ""
            )
            told.setdefault(key, self.where)
        self.config.stash[RECORDER].answer(self.run, answer, self.where, elsewhere)
        self._tell(answer, elsewhere)

    def _relative(self, answer: Answer) -> Answer:
        """Return the answer as ``--against`` wants it: relative to the same cell with another firmware."""
        base = self.config.stash[SESSION].base_of(self.run)
        if base is None or answer.state != "failed":
            return answer
        found = relative(answer, base)
        with contextlib.suppress(HarnessError):  # the answer says that there is no record
            self.config.stash[RECORDER].booted(base.cell, base.record, base.attempt)
        return found

    def _tell(self, answer: Answer, elsewhere: str) -> None:
        """End the test as the answer's state says."""
        self.user_properties.append(("state", answer.state))
        if answer.state == "not-asked":
            pytest.skip(answer.reason)
        if answer.state == "known-bad" and answer.bad is None:
            pytest.xfail(answer.reason)  # by quarantine: it may pass, too
        if answer.error is not None:
            raise answer.error
        if not answer.findings and answer.state == "cannot-judge":
            raise HarnessError(answer.reason)
        record = self.run.record.path
        self.user_properties.append(("record", str(record)))
        if answer.state == "known-bad":
            raise KnownBadError(answer, record)
        if answer.findings:
            raise FindingsError(answer, record, elsewhere, () if elsewhere else self._steps())

    def _steps(self) -> Iterator[str]:
        """Yield what to type next, with the first finding about a boot."""
        record, told = self.run.record, self.config.stash[TOLD]
        if str(record.path) in told:
            return
        told.add(str(record.path))
        if draft_for(record.ending, self.run.evidence.signatures):
            yield f"harness signature draft {record.path}    (no signature knows how it ended)"
        cell, axes = self.run.cell, self.config.stash[SESSION].options.axes
        yield f"harness show '{record.path}'"
        yield again(shown_path(self.config, self.path), cell.id, axes)
        if not cell.action:
            own = has_own(axes)
            yield f"harness repro '{record.path}'" if own else f"harness boot '{cell.id}' --hold"
            if record.ending.kind is not self.run.evidence.good_end:
                yield f"harness debug '{record.path if own else cell.id}'"
