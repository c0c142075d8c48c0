# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest, or a QEMU, that writes without end fills no disk; and what was cut proves nothing."""

from __future__ import annotations

import io
import resource
from typing import TYPE_CHECKING, ClassVar

import pytest

from harness.boot.phases import Limit, Phase, processor_seconds
from harness.boot.running_machine import NO_LIMITS
from harness.boot.terminal import Terminal
from harness.boot.waiting import room
from harness.evidence.host.page_states import read_page_states
from harness.evidence.problems import EvidenceError
from harness.evidence.record import BootRecord, EndingKind
from harness.machine import machine as machines
from tests.support.fake_boots import KERNEL, OFF, QUICK, Run, document, fake_boots

if TYPE_CHECKING:
    from pathlib import Path

    from harness.machine.machine import Machine

MIB = 1 << 20
HANG: dict[str, object] = {"sleep": 600.0}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Boot the fake through the given steps, in a record that holds 8 MiB, and 24 MiB with the disks."""
    monkeypatch.setattr(room, "EVIDENCE_BYTES", 8 * MIB)
    monkeypatch.setattr(room, "ALL_BYTES", 24 * MIB)
    monkeypatch.setattr(room, "KEPT_BYTES", MIB)
    return fake_boots(tmp_path)


@pytest.mark.faults
def test_a_trace_without_end_ends_the_boot_and_is_cut(run: Run) -> None:
    record = run(KERNEL, {"fill": ["trace.log", 12 * MIB]}, HANG)
    assert (record.ending.kind, record.ending.phase) == (EndingKind.RECORD_FULL, "init")
    assert "its record reached" in record.ending.detail
    assert f"trace.log lacks {10 * MIB} of its {12 * MIB} bytes" in record.ending.detail
    assert (record.path / "trace.log").stat().st_size < 2 * MIB + 100
    assert not record.damaged()
    with pytest.raises(EvidenceError, match=r"trace\.log was cut"):
        read_page_states(record)


@pytest.mark.faults
def test_a_disk_without_end_ends_the_boot_and_goes(run: Run) -> None:
    record = run(KERNEL, {"fill": ["disk0.qcow2", 25 * MIB]}, HANG)
    assert record.ending.kind is EndingKind.RECORD_FULL
    assert not (record.path / "disk0.qcow2").exists()


def test_what_has_a_limit_of_its_own_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "KEPT_BYTES", 10)
    for name in ("ledger.jsonl", "serial.log", "qemu.log"):
        (tmp_path / name).write_bytes(b"0123456789abcdefghijklmno")
    assert room.shorten(tmp_path) == ["qemu.log lacks 5 of its 25 bytes"]
    assert (tmp_path / "ledger.jsonl").stat().st_size == 25
    assert (tmp_path / "qemu.log").read_bytes() == (
        b"0123456789\n=====HARNESS-LEFT-OUT===== 5 bytes\nfghijklmno"
    )


def test_a_boot_that_stays_within_its_room_is_as_before(run: Run) -> None:
    record = run(KERNEL, {"fill": ["trace.log", 3 * MIB]}, document("{}"), OFF)
    assert record.ending.kind is EndingKind.COMPLETED
    assert (record.path / "trace.log").stat().st_size == 3 * MIB


class Limits:
    """A talk that looks which limits QEMU has."""

    types: ClassVar[bool] = False

    def __init__(self) -> None:
        self.found: dict[int, tuple[int, int]] = {}

    def attach(self, machine: Machine) -> None:
        """Have nothing to watch."""

    def run(self, machine: Machine) -> None:
        for which in (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_CORE):
            self.found[which] = resource.prlimit(machine.pid, which)


@pytest.mark.faults
def test_a_file_of_qemu_that_reaches_its_limit_takes_no_more(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "FILE_BYTES", 4 * MIB)
    talk = Limits()
    record = run(KERNEL, {"fill": ["trace.log", 6 * MIB]}, {"sleep": 0.5}, document("{}"), OFF, talk=talk)
    assert record.ending.kind is EndingKind.COMPLETED  # no signal has killed it
    assert (record.path / "trace.log").stat().st_size == 4 * MIB
    assert "File too large" in (record.path / "qemu.log").read_text()
    seconds = int(processor_seconds(QUICK))
    assert talk.found == {
        resource.RLIMIT_FSIZE: (4 * MIB, 4 * MIB),
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_CORE: (0, 0),
    }


@pytest.mark.parametrize("attended", [True, False])
def test_a_boot_without_limits_or_with_a_person_has_none_of_processor_time(
    run: Run, *, attended: bool
) -> None:
    talk = Limits()
    limits = QUICK if attended else NO_LIMITS
    with Terminal(io.BytesIO(), None, print) as terminal:
        attendant = terminal if attended else None
        steps = ({"sleep": 0.5}, document("{}"), OFF)
        record = run(KERNEL, *steps, talk=talk, deadlines=limits, attendant=attendant)
    assert isinstance(record, BootRecord)
    assert talk.found[resource.RLIMIT_CPU] == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert processor_seconds({Phase.KERNEL: Limit(2.0, 1.0)}) >= 8.0
