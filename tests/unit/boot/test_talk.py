# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Conversations with a guest beside its boot."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.boot.driver import boot
from harness.boot.phases import Limit, Phase
from harness.errors import HarnessError
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END, BootRecord, EndingKind
from harness.machine.spec import MachineSpec
from tests.support.data import FAKE_QEMU

if TYPE_CHECKING:
    from pathlib import Path

    from harness.machine.machine import Machine

QUICK = dict.fromkeys(Phase, Limit(deadline=60.0, silence=40.0))
OFF: dict[str, object] = {"event": ["SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}]}
REPORT = f"Run /init as init process\r\n{DOCUMENT_BEGIN}\r\n{{}}\r\n{DOCUMENT_END}\r\n"


@dataclass
class Answer:
    """Waits for a prompt, answers, and may then fail."""

    prompt: bytes
    answer: bytes
    failure: Exception | None = None
    attached: bool = False
    types: ClassVar[bool] = True

    def attach(self, machine: Machine) -> None:
        self.attached = machine.clock() == 0

    def run(self, machine: Machine) -> None:
        console = machine.consoles["serial"]
        machine.wait(lambda: self.prompt in console.tail or machine.ended is not None or None, math.inf)
        machine.serial_write(self.answer)
        if self.failure is not None:
            raise self.failure


def run(tmp_path: Path, talk: Answer, *steps: dict[str, object]) -> BootRecord:
    firmware = tmp_path / "fw.fd"
    firmware.write_bytes(b"firmware")
    spec = MachineSpec(
        qemu=FAKE_QEMU, firmware=firmware, memory_mib=512, accel="tcg", cmdline=json.dumps(steps)
    )
    record = boot(spec, tmp_path / "r", cell_id="c", platform="plain", deadlines=QUICK, talk=talk)
    assert talk.attached
    return record


def test_an_answer_reaches_the_guest(tmp_path: Path) -> None:
    talk = Answer(b"boot: ", b"linux\r")
    steps: tuple[dict[str, object], ...] = ({"serial": "boot: "}, {"echo": 6}, {"serial": REPORT}, OFF)
    record = run(tmp_path, talk, *steps)
    assert record.ending.kind is EndingKind.COMPLETED
    assert "linux" in record.serial_text


def test_a_conversation_that_fails_ends_the_boot(tmp_path: Path) -> None:
    talk = Answer(b"boot: ", b"", HarnessError("no entry\nguest", "hint"))
    outcome = run(tmp_path, talk, {"serial": "boot: \r\n"}).ending
    assert (outcome.kind, outcome.detail) == (EndingKind.UNREACHABLE, "no entry guest")
    talk = Answer(b"boot: ", b"", ZeroDivisionError("of ours"))
    (tmp_path / "2").mkdir()
    assert run(tmp_path / "2", talk, {"serial": "boot: \r\n"}).ending.detail == "ZeroDivisionError: of ours"


def test_death_explains_a_conversation_that_fails(tmp_path: Path) -> None:
    talk = Answer(b"boot: ", b"", HarnessError("reset by peer"))
    slowly: list[dict[str, object]] = [{"serial": "Call Trace:\r\n"}, {"sleep": 0.1}]
    panic: dict[str, object] = {"serial": "Kernel panic - not syncing: x\r\n"}
    record = run(tmp_path, talk, {"serial": "boot: \r\n"}, *slowly * 5, panic)
    assert record.ending.kind is EndingKind.GUEST_PANIC


def test_a_conversation_sees_the_end(tmp_path: Path) -> None:
    record = run(tmp_path, Answer(b"never", b""), {"serial": REPORT}, OFF)
    assert record.ending.kind is EndingKind.COMPLETED
