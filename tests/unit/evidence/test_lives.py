# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The record of a guest that was reset and launched anew: evidence and findings of each of its lives."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.checks.acceptance import LEDGER_WHOLE, VALIDATED_ONCE
from harness.checks.finding import Check, Problem
from harness.evidence.evidence import Evidence, LifeRecord
from harness.evidence.problems import EvidenceError
from harness.evidence.record import BootRecord, EndingKind
from tests.support.linux_sample import Line, Sample, write_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KERNEL = "6.12.117+deb13-amd64"
OTHER = "6.12.117+deb13-second"
RESET: Line = {"type": "reset", "t": 5}


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """Give a boot of two lives, whose second kernel has another name."""
    sample = Sample("lazy", tmp_path)
    sample.write()
    first = (tmp_path / "serial.log").read_bytes()
    (tmp_path / "serial.log").write_bytes(first + first.replace(KERNEL.encode(), OTHER.encode()))
    (tmp_path / "debugcon.log").write_text("firstsecond")
    header, *lines, end = sample.ledger
    for totals in end["pages"].values():
        totals.update({phase: 2 * pages for phase, pages in totals.items()})
    end |= {key: 2 * end[key] for key in ("ebs-calls", "ebs-returns")}
    write_ledger(tmp_path / "ledger.jsonl", [header, *lines, RESET, *lines, end])
    there = sample.evidence({})
    return replace(there, record=replace(there.record, lives=((len(first), len("first")),)))


def kernel(evidence: Evidence) -> Iterator[Problem]:
    if evidence.guest.kernel.release != KERNEL:
        yield Problem("other", f"it is {evidence.guest.kernel.release}")


def test_each_life_has_its_part_of_the_consoles(evidence: Evidence) -> None:
    first, second = evidence.lives
    assert [KERNEL in first.record.whole_text, OTHER in first.record.whole_text] == [True, False]
    assert [KERNEL in second.record.whole_text, OTHER in second.record.whole_text] == [False, True]
    assert [life.record.debugcon_text for life in (first, second)] == ["first", "second"]
    assert [life.guest.kernel.release for life in (first, second)] == [KERNEL, OTHER]
    assert first.record.ending.kind is EndingKind.RESET
    assert second.record.ending == evidence.record.ending
    assert [life.lives for life in (first, second)] == [(first,), (second,)]


def test_each_life_has_its_part_of_the_ledger(evidence: Evidence) -> None:
    first, second = evidence.lives
    assert len(first.ledger.events) == len(second.ledger.events) > 10
    assert first.ledger.exits[0].line < second.ledger.exits[0].line
    assert VALIDATED_ONCE(evidence) == []
    assert LEDGER_WHOLE(evidence) == []
    assert VALIDATED_ONCE(replace(evidence, record=replace(evidence.record, lives=()))) != []


def test_a_ledger_without_the_reset_is_damaged(evidence: Evidence) -> None:
    path = evidence.record.path / "ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["type"] != "reset"))
    with pytest.raises(EvidenceError, match="the ledger has 0 resets, the boot saw 1"):
        _ = evidence.lives[0].ledger


def test_findings_say_of_which_life_they_are(evidence: Evidence) -> None:
    (finding,) = Check("kernel", "Is it the kernel?", kernel)(evidence)
    assert str(finding) == f"kernel: life 2: it is {OTHER}"
    assert finding.kind == "other"


def test_a_guest_of_one_life_has_no_number(tmp_path: Path) -> None:
    sample = Sample("lazy", tmp_path)
    sample.write()
    one = sample.evidence({})
    assert one.lives == (one,)
    assert Check("kernel", "Is it the kernel?", kernel)(one) == []


def test_the_index_has_where_lives_begin(evidence: Evidence) -> None:
    evidence.record.write_index()
    stored = BootRecord.load(evidence.record.path)
    assert stored.lives == evidence.record.lives
    assert [life.number for life in LifeRecord.of(stored)] == [0, 1]
    index = json.loads((stored.path / "boot.json").read_text())
    del index["lives"]
    (stored.path / "boot.json").write_text(json.dumps(index))
    assert BootRecord.load(stored.path).lives == ()
