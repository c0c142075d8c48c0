# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks of what the guest did after it had reported (axis ``action``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.ended import headline
from harness.checks.finding import Check, Needs, Problem
from harness.evidence.record import EndingKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence


def _actions_done(evidence: Evidence) -> Iterator[Problem]:
    reports = evidence.actions
    wanted = evidence.cell.action.split()
    wanted += [action.followed_by for action in evidence.traits.actions if action.followed_by]
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
        if report.status is None and not evidence.action(report.name).last:
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
        samples, action = report.unaccepted_kb, evidence.action(report.name)
        if action.samples and report.status == 0 and not samples:
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
        if samples and action.drains and samples[-1] > 0:
            yield Problem(
                "still-unaccepted",
                f"all available memory was in use, and still {samples[-1]} kB are unaccepted",
                kilobytes=samples[-1],
            )


def _all_cpus_cycle(evidence: Evidence) -> Iterator[Problem]:
    for report in evidence.actions:
        if CPUS_CYCLE.name not in evidence.action(report.name).judged_by:
            continue
        before, offline, after = (report.result.get(key) for key in ("before", "offline", "after"))
        if offline != "0" or before != after:
            yield Problem(
                "cpus-online",
                f"online before: {before}, all offline but the first: {offline}, after: {after}",
            )


def _no_later_alarms(evidence: Evidence) -> Iterator[Problem]:
    wanted = [action.alarm for action in evidence.traits.actions if action.alarm]
    for found in evidence.signatures.alarms(evidence.record.later_text):
        if not any(words in found.line for words in wanted):
            yield Problem(
                "alarm",
                f"the kernel log shows a {found.alarm} during the actions",
                found.line,
                alarm=str(found.alarm),
            )


def _ends_as_asked(evidence: Evidence) -> Iterator[Problem]:
    outcome = evidence.record.ending
    if outcome.kind is not evidence.good_end:
        yield Problem(
            "ended",
            f"the guest should end as {evidence.good_end}; {evidence.end}",
            headline(evidence),
            outcome.detail,
            ending=str(outcome.kind),
        )
    elif outcome.kind is EndingKind.RESET and evidence.record.guest is None:
        yield Problem("reset-early", "the guest was reset before it had reported", evidence.end)


ACTIONS_DONE = Check(
    "actions-done", "Did the guest do all that its actions say, and succeed?", _actions_done, Needs.ACTIONS
)
ENDS_AS_ASKED = Check(
    "ends-as-asked", "Did the guest end as its last action says?", _ends_as_asked, Needs.ACTIONS
)
UNACCEPTED_FALLS = Check(
    "unaccepted-falls",
    "Does Unaccepted only fall while memory is used, down to zero?",
    _unaccepted_falls,
    Needs.ACTIONS,
)
CPUS_CYCLE = Check("cpus-cycle", "Did every vCPU go offline and come back?", _all_cpus_cycle, Needs.ACTIONS)
NO_LATER_ALARMS = Check(
    "no-later-alarms", "Is the kernel log free of alarms during the actions?", _no_later_alarms, Needs.ACTIONS
)
