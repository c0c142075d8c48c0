# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a check is, and what it says when something is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.evidence.problems import EvidenceError
from harness.evidence.text import printable
from harness.platforms.registry import platform_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.artifacts.traits import Traits
    from harness.checks.model import Expectation
    from harness.evidence.evidence import Evidence


Value = str | int | float | bool
CANNOT_JUDGE = "cannot-judge"
"""Kind of the finding that evidence is missing or damaged."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the lines of evidence that show it.

    ``kind`` and ``values`` say it to programs: rules and comparisons go by them, so that the sentence
    ``what`` may be worded better. A kind is one of its check's; values are numbers (bytes, counts, addresses)
    and names.
    """

    check: str
    what: str
    evidence: tuple[str, ...] = ()
    kind: str = ""
    values: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        """Return the text for a terminal: what a guest wrote cannot act on it."""
        return printable(
            "\n".join([f"{self.check}: {self.what}", *(f"    {line}" for line in self.evidence)])
        )


class Problem:
    """What a check function yields: its kind and values, what is wrong in words, the lines that show it."""

    def __init__(self, kind: str, what: str, *evidence: str, **values: Value) -> None:
        self.kind = kind
        self.what = what
        self.evidence = evidence
        self.values = values


class Needs(StrEnum):
    """What a check reads, which the boot must have left."""

    RECORD = "the record of any boot"
    LOG = "a Linux that logs to its console"
    MAP = "the memory map, from a Linux with efi=debug or from the EFI probe"
    FIRMWARE_LOG = "a firmware that logs (DEBUG)"
    REPORT = "a Linux that reports from userspace"
    ACTIONS = "a Linux that reports what its actions did"
    SYSTEM = "a Debian that answers over SSH"
    PROBE = "the EFI probe's report"
    LEDGER = "the exact ledger, which only emulation keeps"
    HANDOVER = "the exact ledger until boot services end, whatever becomes of the guest then"


_EXACT = frozenset({Needs.LEDGER, Needs.HANDOVER})


@dataclass(frozen=True)
class Check:
    """A named question to one boot's evidence; calling it gives the findings, none when all is well.

    ``judge`` yields what is wrong: a `Problem`, or its text alone. The question is one that a good boot
    answers with yes. ``asked_of``: whether it asks about a cell, by what that should do; None for the checks
    of the table ``harness.checks.asked``.

    Of a check that needs the ledger, ``by_page_states`` is the form that takes its place where a host shows
    page state changes alone, as hardware does; ``strength`` says how much that answers. None: there is none,
    and ``why_not`` says why.
    """

    name: str
    question: str
    judge: Callable[[Evidence], Iterator[Problem | str]]
    needs: Needs = Needs.RECORD
    asked_of: Callable[[Expectation], bool] | None = None
    by_page_states: Callable[[Evidence], Iterator[Problem]] | None = None
    strength: str = "upper bound"
    why_not: str = "hardware shows PVALIDATE to nobody"

    def __call__(self, evidence: Evidence) -> list[Finding]:
        """Judge each life of the guest.

        Evidence that is missing or damaged is a finding of its own, never a pass.
        """
        lives = evidence.lives
        if len(lives) == 1:
            return self._of_life(evidence)
        return [
            replace(finding, what=f"life {number}: {finding.what}")
            for number, life in enumerate(lives, start=1)
            for finding in self._of_life(life)
        ]

    def _of_life(self, evidence: Evidence) -> list[Finding]:
        findings = []
        try:
            for finding in self.findings(evidence):
                findings.append(finding)  # noqa: PERF402 - the next may raise
        except EvidenceError as error:
            says = f"cannot be judged: {error.what}"
            findings.append(Finding(self.name, says, (error.hint,), CANNOT_JUDGE))
        return findings

    def findings(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield what is wrong; EvidenceError where evidence is missing or damaged."""
        judge = self.judge
        if self.by_page_states is not None and self._weaker(evidence.record.platform):
            judge = self.by_page_states
        for problem in judge(evidence):
            said = Problem("as-worded", problem) if isinstance(problem, str) else problem
            yield Finding(self.name, said.what, said.evidence, said.kind, said.values)

    def not_applicable(self, platform: str, traits: Traits) -> str:
        """Return why nothing can answer this check on ``platform`` or with these ingredients; else ""."""
        if self.needs in _EXACT and platform_named(platform).acceptance != "exact":
            if self.by_page_states is None or not self._weaker(platform):
                return f"only emulation has an exact ledger; {self.why_not}"
            return ""
        if self.needs is Needs.FIRMWARE_LOG and not traits.firmware.debug_output:
            return "the firmware logs nothing: it was built without DEBUG output (RELEASE)"
        return ""

    def _weaker(self, platform: str) -> bool:
        """Return whether a platform shows page state changes, and no ledger."""
        return self.needs in _EXACT and platform_named(platform).acceptance == "page-states"

    def strength_on(self, platform: str) -> str:
        """Return how much an answer says of a boot on ``platform``: "" for all that the question asks."""
        return self.strength if self.by_page_states is not None and self._weaker(platform) else ""
