# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What one check says of one cell, for one scenario: its state, with why."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.checks.finding import CANNOT_JUDGE, Needs
from harness.errors import ExitCode, HarnessError
from harness.results.model import BAD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from harness.checks.finding import Check, Finding
    from harness.matrix.cell import Cell
    from harness.matrix.plan import KnownBad
    from harness.results.model import State
    from harness.results.quarantine import Quarantine
    from harness.run.cell_run import CellRun

_ADDRESSES = frozenset({"gpa", "rip"})


@dataclass(frozen=True)
class Answer:
    """A check's answer.

    ``reason`` says why it was not asked, cannot be judged, or is known to fail. ``bad`` is the scenario's
    rule about it, ``cause`` the check that tells why this one has nothing to judge, ``error`` what kept the
    cell from having a record. ``seconds`` is the time of judging. ``known_in`` says in what the findings are
    known, of which this cell has another in its place.
    """

    check: Check
    state: State
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    bad: KnownBad | None = None
    cause: str = ""
    error: HarnessError | None = None
    seconds: float = 0.0
    known_in: str = ""


def judge(run: CellRun, check: Check, *, first: bool) -> Answer:
    """Ask a check of a cell, which boots, or waits for its boot, when it has no record yet.

    A boot that went wrong leaves most checks nothing to judge. ``first``: this check is the first that the
    run asks of the cell, and tells that, so that no selection of checks hides it.
    """
    if reason := check.not_applicable(run.cell.platform, run.traits):
        return Answer(check, "not-asked", reason=reason)
    about_boot = run.checks[0]
    try:
        record = run.record
    except HarnessError as error:
        return _no_record(check, error, about_boot.name, first=first or check is about_boot)
    if check is not about_boot and (failure := run.root_failure):
        return _in_spite_of_it(run, check) or _nothing_to_judge(run, check, failure, first=first)
    del record  # it is there, and the evidence reads it
    begin = time.monotonic()
    findings = tuple(check(run.evidence))
    seconds = time.monotonic() - begin
    bad = run.said.bad(check.name)
    known_in = run.said.known_in(check.name, findings) if findings else ""
    return Answer(check, *_state(findings, bad), bad=bad, seconds=round(seconds, 4), known_in=known_in)


def relative(answer: Answer, base: CellRun) -> Answer:
    """Return the answer, judged relative to ``base``, the same cell with another firmware.

    A failure that the base has, too, with the same kinds and values, is known; of any other the reason says
    what the base does. The base boots only for a cell that fails.
    """
    if answer.state != "failed":
        return answer
    name = base.cell.firmware
    if answer.check.name not in {check.name for check in base.checks}:
        return replace(answer, reason=f"new: {name} is not asked it")
    other = judge(base, answer.check, first=True)
    if _keys(other.findings) == _keys(answer.findings):
        return replace(answer, state="known-bad", reason=f"the same in {name}: {answer.findings[0].what}")
    if other.findings:
        return replace(answer, reason=f"new: {name} has another finding: {other.findings[0].what}")
    told = "passes" if other.state == "passed" else f"cannot be judged: {other.reason}"
    return replace(answer, reason=f"new: {name} {told}")


def _keys(findings: Sequence[Finding]) -> set[tuple[object, ...]]:
    """Return findings by kind and values, without addresses, which move from build to build."""
    return {
        (it.kind, *sorted((name, str(value)) for name, value in it.values.items() if name not in _ADDRESSES))
        for it in findings
    }


def in_quarantine(answer: Answer, cell: Cell, quarantine: Quarantine, today: date) -> Answer:
    """Return the answer, excused when it is a failure of the guest's that an entry of the file is about."""
    if answer.state not in BAD - {"host-error"}:
        return answer
    found = quarantine.find(cell.id, answer.check.name, today)
    if found is None:
        return answer
    entry, where = found
    reason = f"in quarantine until {entry.until}, by {where}: {entry.reason} ({entry.link})"
    return replace(answer, state="known-bad", reason=reason)


def _no_record(check: Check, error: HarnessError, cause: str, *, first: bool) -> Answer:
    told = error.what.partition("\n")[0]
    if not first:
        return Answer(check, "not-asked", reason=f"not judged: {told}", cause=cause)
    state: State = "host-error" if error.exit_code == ExitCode.HOST else "cannot-judge"
    return Answer(check, state, reason=told, error=error)


def _in_spite_of_it(run: CellRun, check: Check) -> Answer | None:
    """Return what a check finds wrong in what the firmware handed over to a guest that died later.

    None where it finds nothing, for a dead guest proves nothing good, and where its death is known.
    """
    if check.needs is not Needs.HANDOVER or run.said.bad(run.checks[0].name) is not None:
        return None
    try:
        if run.evidence.ledger.handover is None:
            return None
    except HarnessError:
        return None
    findings = tuple(check(run.evidence))
    if not findings or state_of(findings)[0] == "cannot-judge":
        return None
    bad = run.said.bad(check.name)
    return Answer(check, *_state(findings, bad), bad=bad)


def _nothing_to_judge(run: CellRun, check: Check, failure: str, *, first: bool) -> Answer:
    about_boot = run.checks[0]
    bad = run.said.bad(about_boot.name)
    if not first or bad is not None:
        known = f"; {bad}" if bad is not None else ""
        return Answer(check, "not-asked", reason=f"not judged: {failure}{known}", cause=about_boot.name)
    return Answer(check, "cannot-judge", reason=f"there is nothing to judge: {failure}")


def _state(findings: Sequence[Finding], bad: KnownBad | None) -> tuple[State, tuple[Finding, ...], str]:
    """Return state, findings and reason of a check."""
    if not findings:
        return ("fixed" if bad is not None else "passed"), (), str(bad) if bad is not None else ""
    told = tuple(findings)
    if bad is not None and bad.about(findings):
        return "known-bad", told, str(bad)
    state, why = state_of(findings)
    if bad is None or state == "cannot-judge":
        return state, told, why
    return "failed", told, f"known-bad of {bad.where}, but no finding is {bad.wanted}"


def state_of(findings: Sequence[Finding]) -> tuple[State, str]:
    """Return the state that findings alone make, and why nothing can be judged where that is so."""
    if not findings:
        return "passed", ""
    if all(finding.kind == CANNOT_JUDGE for finding in findings):
        return "cannot-judge", findings[0].what.removeprefix("cannot be judged: ")
    return "failed", ""
