# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What samples of stored boots share: they are judged after a test has broken something."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.checks.finding import Check, Finding
    from harness.evidence.evidence import Evidence
    from harness.evidence.record import StoredFile


class Judged(ABC):
    """A record whose parts a test may change."""

    @property
    @abstractmethod
    def checks(self) -> dict[str, Check]:
        """Return the checks that ask the sample, by name."""

    @abstractmethod
    def write(self) -> None:
        """Write what has changed to the record's files."""

    @abstractmethod
    def evidence(self, files: Mapping[str, StoredFile]) -> Evidence:
        """Return what the record shows, whose index lists ``files``."""

    def judge(self, check: Check) -> list[Finding]:
        """Return what a check finds."""
        self.write()
        return check(self.evidence({}))

    def findings(self) -> dict[str, list[Finding]]:
        """Return what each check finds, all of one reading of the record."""
        self.write()
        evidence = self.evidence({})
        return {name: check(evidence) for name, check in self.checks.items()}
