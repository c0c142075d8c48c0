# SPDX-License-Identifier: BSD-2-Clause-Patent
"""CPUs that are stuck by a clock that runs wrongly are the host's doing; all other stuck CPUs are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.evidence.record import EndingKind
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
