# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs of pytest in this process over scenarios of two cells whose boots are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence.record import INDEX
from harness.store.packing import holds_file, unpacked_name
from tests.support.data import DATA

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RECORDS = DATA / "records"
EMULATED = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"
TWO = """\
name: two
description: which?
include:
  - {firmware: debian-2025.02, kernel: debian-5.10, memory: 2G, platform: snp}
  - {firmware: debian-2025.02, kernel: debian-6.1, memory: 2G, platform: plain}
"""
QUARANTINE = """\
quarantine:
  - cell: debian-2025.02+*
    check: reaches-userspace
    reason: hangs in 1 of 50
    link: https://example.org/1
    until: UNTIL
"""
EXPIRED = "quarantine.yaml:2:5: debian-2025.02+*, reaches-userspace: expired"
WHY = "reason: because, link: 'https://example.org/1'"


def run(pytester: pytest.Pytester, *arguments: str | Path) -> tuple[pytest.RunResult, str]:
    """Run pytest in this process; a message for the user never has a traceback."""
    result = pytester.runpytest_inprocess(*(arguments or ("scenarios",)), "-ra")
    text = f"{result.stdout}\n{result.stderr}"
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return result, text


def known_bad(check: str, when: str = "platform: plain") -> str:
    return f"{TWO}known-bad:\n  - {{when: {{{when}}}, checks: [{check}], {WHY}, since: '6.1'}}\n"


def stored_records(run: Path) -> list[str]:
    """Return the names of a run's records, packed or not."""
    names = (unpacked_name(path) for path in run.iterdir())
    return sorted(name for name in names if holds_file(run / name / INDEX))
