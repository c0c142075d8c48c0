# SPDX-License-Identifier: BSD-2-Clause-Patent
"""CPUs that are stuck by a clock that runs wrongly are the host's doing; all other stuck CPUs are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from harness.evidence.record import EndingKind
from tests.support.data import DATA
from tests.support.fake_boots import KERNEL, OFF, document, fake_boots

if TYPE_CHECKING:
    from pathlib import Path

MEASURED = "[    0.060000] tsc: PIT calibration deviates from HPET: 40357 2596187\n"
STALL = "[  111.523557] rcu: INFO: rcu_preempt self-detected stall on CPU\n"


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ((MEASURED, STALL), EndingKind.HOST),
        ((MEASURED, "[  250.1] INFO: task cpuhp/1:26 blocked for more than 120 seconds.\n"), EndingKind.HOST),
        ((MEASURED,), EndingKind.COMPLETED),
        ((STALL,), EndingKind.COMPLETED),
        ((STALL, MEASURED), EndingKind.COMPLETED),
    ],
)
def test_who_is_to_blame_for_a_stall(tmp_path: Path, lines: tuple[str, ...], kind: EndingKind) -> None:
    told = [{"serial": line} for line in lines]
    ending = fake_boots(tmp_path)(KERNEL, *told, document("{}"), OFF).ending
    assert ending.kind is kind
    if kind is EndingKind.HOST:
        assert "40357 2596187" in ending.detail
        assert lines[1].strip() in ending.detail


STARVED = yaml.safe_load((DATA / "transcripts/starved-timer.yaml").read_text())["text"]
"""Its kernel's time goes on by a tick on some of four ways."""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (STARVED, EndingKind.HOST),
        (re.sub(r"0\.0\d+", "0.012000", STARVED), EndingKind.GUEST_PANIC),
        (re.sub(r"0\.02\d+", "0.016000", STARVED), EndingKind.GUEST_PANIC),
        (re.sub(r"0\.0(\d\d)000", r"0.0\g<1>123", STARVED), EndingKind.GUEST_PANIC),
        (re.sub(r"\[.*\] ", "", STARVED), EndingKind.GUEST_PANIC),
    ],
    ids=("late", "none", "one-kept", "cycles", "no-stamps"),
)
def test_who_is_to_blame_for_a_timer_that_is_not_heard(tmp_path: Path, text: str, kind: EndingKind) -> None:
    """No tick at all is no busy host: so is a pin that nothing is connected to, or one kept tick."""
    ending = fake_boots(tmp_path)(KERNEL, {"serial": text}).ending
    assert ending.kind is kind
    assert ("ticks came late" in ending.detail) is (kind is EndingKind.HOST)
    assert "IO-APIC + timer doesn't work" in ending.detail + ending.last_line
