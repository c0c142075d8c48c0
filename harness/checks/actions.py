# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks of what the guest did after it had reported (axis ``action``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.finding import Check, Problem
from harness.evidence.kernel_log import alarms
from harness.evidence.record import EndingKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence

_FOLLOWED_BY = {"kexec": "kexec-done", "crash": "vmcore"}
"""What the next kernel does when the action has worked."""
_SAMPLED = frozenset({"touch", "hog", "drain"})
"""Actions that use memory, and watch meminfo's Unaccepted meanwhile."""


def _actions_done(evidence: Evidence) -> Iterator[Problem]:
    reports = evidence.actions
    wanted = evidence.cell.action.split()
    wanted += [_FOLLOWED_BY[action] for action in wanted if action in _FOLLOWED_BY]
    begun = [report.action for report in reports]
    if begun != wanted:
        yield Problem(
            "actions-begun",
            f"asked for: {', '.join(wanted)}; begun: {', '.join(begun) or 'nothing'}",
            evidence.end,
            evidence.record.ending.detail,
            asked=len(wanted),
            begun=len(begun),
        )
    for report in reports:
        if report.status is None and report.name not in {*_FOLLOWED_BY, "reboot"}:
            yield Problem(
                "action-unfinished",
                f"{report.action} did not end",
                evidence.end,
                evidence.record.ending.detail,
                action=report.name,
            )
        elif report.status:
            yield Problem(
                "action-failed",
                f"{report.action} failed with status {report.status}",
                report.errors,
                action=report.name,
                status=report.status,
            )


def _unaccepted_falls(evidence: Evidence) -> Iterator[Problem]:
    """Ask that meminfo's Unaccepted never rises, from action to action, and is zero after a drain."""
    last = None
    for report in evidence.actions:
        samples = report.unaccepted_kb
        if report.name in _SAMPLED and report.status == 0 and not samples:
            yield Problem("no-sample", f"{report.action} took no sample of Unaccepted", action=report.name)
        for sample in samples:
            if last is not None and sample > last:
                yield Problem(
                    "unaccepted-rose",
                    f"{report.action}: Unaccepted rose from {last} to {sample} kB",
                    action=report.name,
                )
                break
            last = sample
        if samples and report.name == "drain" and samples[-1] > 0:
            yield Problem(
                "still-unaccepted",
                f"all available memory was in use, and still {samples[-1]} kB are unaccepted",
                kilobytes=samples[-1],
            )


def _all_cpus_cycle(evidence: Evidence) -> Iterator[Problem]:
    for report in evidence.actions:
        if report.name != "cpu-cycle":
            continue
        before, offline, after = (report.result.get(key) for key in ("before", "offline", "after"))
        if offline != "0" or before != after:
            yield Problem(
                "cpus-online",
                f"online before: {before}, all offline but the first: {offline}, after: {after}",
            )


def _no_later_alarms(evidence: Evidence) -> Iterator[Problem]:
    for alarm in alarms(evidence.record.later_text):
        if "sysrq triggered crash" not in alarm.line:
            yield Problem(
                "alarm",
                f"the kernel log shows a {alarm.kind} during the actions",
                alarm.line,
                alarm=alarm.kind,
            )


def _ends_as_asked(evidence: Evidence) -> Iterator[Problem]:
    outcome = evidence.record.ending
    if outcome.kind is not evidence.good_end:
        yield Problem(
            "ended",
            f"the guest should end as {evidence.good_end}; {evidence.end}",
            outcome.detail,
            ending=str(outcome.kind),
        )
    elif outcome.kind is EndingKind.RESET and evidence.record.guest is None:
        yield Problem("reset-early", "the guest was reset before it had reported", evidence.end)


ACTIONS_DONE = Check("actions-done", "Did the guest do what was asked of it, without errors?", _actions_done)
ENDS_AS_ASKED = Check("ends-as-asked", "Did the guest end as its last action says?", _ends_as_asked)
UNACCEPTED_FALLS = Check(
    "unaccepted-falls", "Does Unaccepted only fall while memory is used, down to zero?", _unaccepted_falls
)
CPUS_CYCLE = Check("cpus-cycle", "Did every vCPU go offline and come back?", _all_cpus_cycle)
NO_LATER_ALARMS = Check(
    "no-later-alarms", "Is the kernel log free of alarms during the actions?", _no_later_alarms
)


def action_checks(action: str) -> tuple[Check, ...]:
    """Give the checks of a cell's action, none for a cell without."""
    if not action:
        return ()
    names = {word.partition(":")[0] for word in action.split()}
    checks = [ENDS_AS_ASKED, ACTIONS_DONE, NO_LATER_ALARMS]
    if names & _SAMPLED:
        checks.append(UNACCEPTED_FALLS)
    if "cpu-cycle" in names:
        checks.append(CPUS_CYCLE)
    return tuple(checks)
