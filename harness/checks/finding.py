# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a check is, and what it says when something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.problems import EvidenceError
from harness.evidence.text import printable
from harness.platforms.registry import platform_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.evidence.evidence import Evidence


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the lines of evidence that show it."""

    check: str
    what: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Give the text for a terminal: what a guest wrote cannot act on it."""
        return printable(
            "\n".join([f"{self.check}: {self.what}", *(f"    {line}" for line in self.evidence)])
        )


class Problem:
    """What a check function yields: what is wrong, and the lines that show it."""

    def __init__(self, what: str, *evidence: str) -> None:
        self.what = what
        self.evidence = evidence


@dataclass(frozen=True)
class Check:
    """A named question to one boot's evidence; calling it gives the findings, none when all is well.

    ``needs_ledger``: only the exact ledger can answer, which not every platform keeps.
    """

    name: str
    question: str
    judge: Callable[[Evidence], Iterator[Problem]]
    needs_ledger: bool = False

    def __call__(self, evidence: Evidence) -> list[Finding]:
        """Judge. Evidence that is missing or damaged is a finding of its own, never a pass."""
        findings = []
        try:
            for problem in self.judge(evidence):
                findings.append(Finding(self.name, problem.what, problem.evidence))  # noqa: PERF401 - may raise
        except EvidenceError as error:
            findings.append(Finding(self.name, f"cannot be judged: {error.what}", (error.hint,)))
        return findings

    def not_applicable(self, platform: str) -> str:
        """Say why this check cannot be asked on ``platform``; empty when it can."""
        if self.needs_ledger and platform_named(platform).acceptance != "exact":
            return "only emulation has an exact ledger; hardware shows PVALIDATE to nobody"
        return ""
