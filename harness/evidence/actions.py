# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the guest's actions reported on the serial console (``guest-images/initramfs/init``).

An action prints ``ACTION_BEGIN NAME[:ARGUMENT…]`` when it starts and ``ACTION_END {…}`` with one JSON object
when it is over. ``reboot``, ``kexec`` and ``crash`` never print an end: the kernel that ran them is gone. One
that was entered by kexec reports on its own, and its actions (``kexec-done``, ``vmcore``) follow in the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.evidence.problems import EvidenceError
from harness.evidence.record import ACTION_BEGIN, ACTION_END

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Ended(BaseModel):
    """The JSON object behind ``ACTION_END``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    action: str
    status: int
    result: dict[str, Any]
    errors: str


_LINE = re.compile(rf"^(?:{ACTION_BEGIN}|{ACTION_END}) .*$", re.MULTILINE)


@dataclass(frozen=True)
class ActionReport:
    """One action: ``status`` is its exit status, None when no end was printed; ``result`` is its own."""

    action: str
    status: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    errors: str = ""

    @property
    def name(self) -> str:
        """The action without its argument."""
        return self.action.partition(":")[0]

    @property
    def unaccepted_kb(self) -> tuple[int, ...]:
        """The samples of meminfo's Unaccepted that the action took, in order; -1 where there is no line."""
        samples = self.result.get("unaccepted_kb", [])
        if not isinstance(samples, list) or not all(isinstance(sample, int) for sample in samples):
            raise EvidenceError(f"action {self.action}: its samples are not numbers", str(samples)[:200])
        return tuple(samples)


def parse_actions(serial_text: str) -> tuple[ActionReport, ...]:
    """Read all reports in the order in which the actions began; EvidenceError for a damaged one."""
    reports: list[ActionReport] = []
    for line in _LINE.findall(serial_text):
        marker, _, rest = line.partition(" ")
        if marker == ACTION_BEGIN:
            reports.append(ActionReport(rest.strip()))
        else:
            ended = _ended(rest)
            if not reports or reports[-1].status is not None or reports[-1].action != ended.action:
                raise EvidenceError(f"action {ended.action} ended without a beginning", line[:200])
            reports[-1] = ended
    return tuple(reports)


def _ended(text: str) -> ActionReport:
    try:
        report = _Ended.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "report"
        raise EvidenceError(f"an action's report is damaged: {where}: {first['msg']}", text[:200]) from error
    return ActionReport(report.action, report.status, report.result, report.errors.strip())
