# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whose doing it is that QEMU was killed: what the kernel counts of its cgroup decides."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from harness.boot.ending import judge
from harness.boot.phases import Limit, Phase
from harness.boot.watch import Watch
from harness.evidence.record import EndingKind
from harness.machine.cgroup import Kills

LIMIT = 4 << 30
LIMITS = dict.fromkeys(Phase, Limit(60.0, 60.0))


@pytest.mark.parametrize(
    ("kills", "kind", "words"),
    [
        (None, EndingKind.HOST, "as by the host's OOM killer"),
        (Kills(LIMIT), EndingKind.HOST, "not for memory"),
        (Kills(LIMIT, killed=1), EndingKind.HOST, "the host, or a cgroup above QEMU's own"),
        (Kills(LIMIT, killed=1, own=3), EndingKind.QEMU_EXIT, "its memory limit of 4096 MiB"),
    ],
)
def test_who_killed_it(kills: Kills | None, kind: EndingKind, words: str) -> None:
    asked: dict[str, Any] = {"confidential": False, "qemu_log": "", "now": 1.0, "limits": LIMITS}
    ending = judge(Watch().seen(), (), returncode=-signal.SIGKILL, kills=kills, **asked)
    assert ending is not None
    assert (ending.kind, words in ending.detail) == (kind, True)


def test_a_qemu_that_ends_by_itself_was_not_killed() -> None:
    asked: dict[str, Any] = {"confidential": False, "qemu_log": "", "now": 1.0, "limits": LIMITS}
    ending = judge(Watch().seen(), (), returncode=1, kills=Kills(LIMIT), **asked)
    assert ending is not None
    assert (ending.kind, ending.detail) == (EndingKind.QEMU_EXIT, "QEMU ended with exit code 1")
