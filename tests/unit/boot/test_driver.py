# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whole boots: of a fake QEMU for every way to end, of a real one with a firmware made of a few bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest

from harness.boot.driver import boot
from harness.boot.phases import Limit, Phase
from harness.checks.boot import NO_ALARMS
from harness.errors import HarnessError
from harness.evidence.evidence import Evidence
from harness.evidence.host.kernel_trace import read_kernel_trace
from harness.evidence.problems import EvidenceError
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END, BootRecord, EndingKind
from harness.machine.console import CAP, TAIL_BYTES
from harness.machine.machine import Machine
from harness.machine.process import LaunchError
from harness.machine.spec import Drive, MachineSpec
from harness.results.record_facts import read_facts
from tests.support.data import DATA, FAKE_QEMU, PROJECT
from tests.support.fake_boots import KERNEL, OFF, QUICK, RESET, Run, document, fake_boots


def resident() -> int:
    """Return the memory that this process has, in bytes."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Boot the fake through the given steps."""
    return fake_boots(tmp_path)


def test_completed(run: Run, tmp_path: Path) -> None:
    record = run(KERNEL, document('{"memory": 1}'), OFF, inputs={"commit": "abc"})
    assert record.ending.kind is EndingKind.COMPLETED
    assert (record.ending.phase, record.ending.last_line) == ("done", DOCUMENT_END)
    assert record.guest == {"memory": 1}
    assert [mark.name for mark in record.phases] == [
        "launch", "firmware", "stub", "early-kernel", "init", "done"
    ]  # fmt: skip
    assert record.counters == {"validated-pages": 4096}
    assert record.sev == {}  # it is no hardware that says it
    assert record.inputs["firmware"].sha256 == hashlib.sha256(b"firmware").hexdigest()
    assert record.inputs["firmware"].path == str(tmp_path / "fw.fd")
    assert record.inputs["commit"].text == "abc"
    assert "qemu" in record.inputs
    assert record.qemu_version == "10.0.99 fake"
    assert (record.cell, record.platform) == ("a+b", "fake")
    assert record.spec["memory_mib"] == 64
    assert record.argv[0] == str(FAKE_QEMU)
    assert record.host["kernel"]
    assert record.durations["boot"] < record.durations["total"]
    assert BootRecord.load(tmp_path / "record") == record
    events = [json.loads(line) for line in record.bytes_of("qmp-events.jsonl").splitlines()]
    assert events[-1]["event"] == "SHUTDOWN"


def test_what_the_sev_firmware_says_on_hardware(run: Run) -> None:
    record = run(KERNEL, document("{}"), OFF, accel="kvm")
    assert (record.sev["api-minor"], record.sev["build-id"]) == (55, 39)


def test_a_kernel_that_cannot_trace_says_why_in_the_record(run: Run) -> None:
    """No kernel has this tracepoint, whoever asks."""
    record = run(OFF, tracepoints=(("kvm/kvm_not_there", ""),))
    assert record.bytes_of("kernel-trace.log").startswith(b"# tracefs: ")
    with pytest.raises(EvidenceError, match="the host's kernel traced nothing: "):
        read_kernel_trace(record)
    assert any("kernel-trace.log: the host" in line for line in read_facts(record.path).missing)


def test_plain_has_no_counters(run: Run) -> None:
    record = run(KERNEL, document("{}"), OFF, confidential=False)
    assert record.ending.kind is EndingKind.COMPLETED
    assert (record.counters, record.sev) == ({}, {})
    assert record.holds("counters.json")


def test_powered_off_early(run: Run) -> None:
    outcome = run(KERNEL, OFF).ending
    assert (outcome.kind, outcome.phase) == (EndingKind.POWERED_OFF_EARLY, "init")


def test_reset_without_a_word_from_the_guest(run: Run) -> None:
    outcome = run({"serial": "EFI stub: hello\n"}, RESET).ending
    assert (outcome.kind, outcome.phase, outcome.last_line) == (
        EndingKind.RESET,
        "stub",
        "EFI stub: hello",
    )


def test_a_panic_with_its_last_words(run: Run) -> None:
    panic = {"serial": "[    1.000000] Kernel panic - not syncing: no init\n"}
    trace = {"serial": "[    1.000001] ---[ end Kernel panic ]---\n"}
    begin = time.monotonic()
    record = run(KERNEL, panic, {"sleep": 0.1}, trace, {"sleep": 0.1}, RESET)
    assert record.ending.kind is EndingKind.GUEST_PANIC
    assert record.ending.last_line == "[    1.000000] Kernel panic - not syncing: no init"
    assert "end Kernel panic" in record.serial_text
    assert time.monotonic() - begin < 30  # well before silence or deadline


def test_a_firmware_assertion_on_the_debug_console(run: Run) -> None:
    record = run({"debugcon": "x\r\nASSERT [DxeCore] Page.c(1): a != b\r\n"})
    assert (record.ending.kind, record.ending.phase) == (EndingKind.FIRMWARE_ASSERT, "firmware")
    assert "debugcon" in record.ending.detail
    assert "ASSERT" in record.debugcon_text


def test_an_exception_in_the_firmware_is_told_whole(run: Run) -> None:
    dump = DATA / "firmware-exception.serial.log"
    outcome = run({"hex": dump.read_bytes().hex()}).ending
    assert outcome.kind is EndingKind.FIRMWARE_EXCEPTION
    assert (
        "#PF (write to a page that is not mapped), error code 0x2, address 0x123456789000, at 0x7d988b06"
        in (outcome.detail)
    )


def test_termination(run: Run) -> None:
    record = run(KERNEL, {"event": ["GUEST_PANICKED", {"action": "pause"}]})
    assert record.ending.kind is EndingKind.TERMINATED


def test_termination_reported_on_exit(run: Run) -> None:
    record = run(KERNEL, {"log": "guest requested termination 0x1:0x2"}, {"exit": 1})
    assert record.ending.kind is EndingKind.TERMINATED
    assert "0x1:0x2" in record.ending.detail
    assert not record.holds("counters.json")


def test_hang_by_silence(run: Run) -> None:
    limits = {**QUICK, Phase.INIT: Limit(deadline=60.0, silence=0.4)}
    record = run(KERNEL, deadlines=limits)
    assert record.ending.kind is EndingKind.HANG
    assert record.ending.detail.startswith("no console byte for 0.4 s; ")
    assert record.ending.last_line == "Run /init as init process"
    assert record.bytes_of("registers.txt") == (b"RIP=0\nCode of vCPU 0\nRIP=0\nStack of vCPU 0\nRIP=0")


def test_hang_by_deadline_although_the_guest_talks(run: Run) -> None:
    limits = {**QUICK, Phase.EARLY_KERNEL: Limit(deadline=0.5, silence=40.0)}
    talk: list[dict[str, object]] = [{"serial": "tick\n"}, {"sleep": 0.05}] * 400
    record = run({"serial": "Linux version 6\n"}, *talk, deadlines=limits)
    assert record.ending.detail.startswith("phase early-kernel lasted longer than 0.5 s; ")
    assert record.durations["boot"] < 20  # what the guest would talk


def test_no_power_off_after_the_document(run: Run) -> None:
    limits = {**QUICK, Phase.DONE: Limit(deadline=0.4, silence=10.0)}
    outcome = run(KERNEL, document("{}"), deadlines=limits).ending
    assert (outcome.kind, outcome.phase) == (EndingKind.HANG, "done")


def test_qemu_exits(run: Run) -> None:
    record = run(KERNEL, {"log": "qemu: fatal: something"}, {"exit": 134})
    assert record.ending.kind is EndingKind.QEMU_EXIT
    assert record.ending.detail == "QEMU ended with exit code 134; QEMU said: qemu: fatal: something"
    assert record.serial_text.endswith("Run /init as init process\n")


@pytest.mark.parametrize(
    ("step", "trouble"),
    [
        (document('{"half": '), "not JSON"),
        (document("[1]"), "is a list"),
        ({"serial": f"{DOCUMENT_END}\n"}, "printed no document"),
        (document("[" * 100_000), "not JSON"),
    ],
)
def test_a_document_that_is_none(run: Run, step: dict[str, object], trouble: str) -> None:
    record = run(KERNEL, step, OFF)
    assert record.ending.kind is EndingKind.COMPLETED
    assert record.guest is None
    assert trouble in record.ending.detail
    assert not record.holds("guest.json")


def test_a_document_cut_by_power_off(run: Run) -> None:
    record = run(KERNEL, {"serial": f'{DOCUMENT_BEGIN}\n{{"a": 1}}\n'}, OFF)
    assert (record.ending.kind, record.guest) == (EndingKind.POWERED_OFF_EARLY, None)


def test_a_document_among_kernel_messages(run: Run) -> None:
    record = run(KERNEL, document('{"a":\r\n[    1.000000] random: crng init done\r\n 1}'), OFF)
    assert record.guest == {"a": 1}


def test_invalid_utf8_and_a_flood(run: Run) -> None:
    record = run({"hex": "fffe80" * 50}, {"flood": 100_000}, KERNEL, document("{}"), OFF)
    assert record.ending.kind is EndingKind.COMPLETED
    assert record.consoles["serial"].bytes > 900_000
    assert record.serial_text.startswith("\ufffd")


def test_half_a_surrogate_pair_in_the_document(run: Run) -> None:
    assert run(KERNEL, document('{"a": "\\ud800"}'), OFF).guest == {"a": "\ud800"}


def test_a_flood_without_end_is_cut(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies between the log's beginning and end is counted; the document behind the flood is found."""
    monkeypatch.setattr(Machine.__init__, "__kwdefaults__", {"console_cap": 100_000})
    record = run(KERNEL, {"flood": 100_000}, document('{"a": 1}'), OFF)
    assert (record.ending.kind, record.guest) == (EndingKind.COMPLETED, {"a": 1})
    dropped = record.consoles["serial"].dropped
    assert dropped > 500_000
    assert f"serial.log lacks {dropped} of the " in record.ending.detail
    size = (record.path / "serial.log").stat().st_size
    assert 100_000 < size < 100_000 + TAIL_BYTES + 100
    findings = NO_ALARMS(Evidence(record, cast("Any", None), cast("Any", None)))
    assert [finding.what for finding in findings] == [
        f"the guest floods its console, and a part of it proves nothing: {record.left_out[0]}"
    ]


def test_a_flood_ends_with_its_phase(run: Run) -> None:
    """A gigabyte takes far longer than the phase may last."""
    before = resident()
    record = run(KERNEL, {"flood": 120_000_000}, deadlines=dict.fromkeys(Phase, Limit(0.5, 60.0)))
    assert record.ending.kind is EndingKind.HANG
    assert "lasted longer than" in record.ending.detail
    assert (record.path / "serial.log").stat().st_size < CAP + TAIL_BYTES + 100
    assert resident() - before < 100 << 20


def test_another_end_than_the_document(run: Run) -> None:
    record = run({"serial": "all good\n"}, OFF, done=re.compile("^all good$"))
    assert record.ending.kind is EndingKind.COMPLETED


FAULT: dict[str, object] = {
    "event": [
        "SEV_SNP_EMULATED_FAULT",
        {"operation": "unvalidated-access", "access": "read", "gpa": 4096, "vcpu": 0, "rip": 1, "phase": "f"},
    ]
}


@pytest.mark.parametrize(("survives", "kind"), [(True, "completed"), (False, "unvalidated-access")])
def test_a_guest_that_survives_its_faults(run: Run, survives: bool, kind: str) -> None:
    steps = (KERNEL, FAULT, {"sleep": 0.8}, document("{}"), OFF)
    assert run(*steps, survives_faults=survives).ending.kind.value == kind


def test_an_exception_in_the_efi_probe(run: Run) -> None:
    text = {"serial": f'{DOCUMENT_BEGIN}\r\n{{"a":1,\r\nefi-probe: exception 14, error "0x2"\r\n'}
    record = run(text, confidential=False)
    assert (record.ending.kind, record.ending.phase) == (EndingKind.GUEST_PANIC, "init")
    assert record.ending.last_line == 'efi-probe: exception 14, error "0x2"'
    assert record.guest is None


def test_launch_failure_leaves_no_index(run: Run, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="no way"):
        run({"die": [1, "no way"]})
    with pytest.raises(HarnessError, match="unfinished"):
        BootRecord.load(tmp_path / "record")


def test_every_boot_writes_to_an_overlay_of_its_own(tmp_path: Path) -> None:
    base, firmware = tmp_path / "disk.img", tmp_path / "fw.fd"
    base.write_bytes(bytes(1024))
    firmware.write_bytes(b"firmware")
    steps, drives = json.dumps([OFF]), (Drive(path=base),)
    spec = MachineSpec(
        qemu=FAKE_QEMU, firmware=firmware, memory_mib=64, accel="tcg", cmdline=steps, drives=drives
    )
    for name in ("one", "two"):
        record = boot(spec, tmp_path / name, cell_id="a", platform="plain", deadlines=QUICK)
        (drive,) = (word for word in record.argv if str(tmp_path) in word and "qcow2" in word)
        assert (
            f"driver=qcow2,node-name=disk0,read-only=off,file.driver=file,file.filename={record.path}"
            in drive
        )
        assert record.inputs["drive0"].path == str(base)
    assert base.read_bytes() == bytes(1024)


def test_a_folder_is_used_once(run: Run) -> None:
    run(OFF)
    with pytest.raises(HarnessError, match="already holds a boot"):
        run(OFF)


def test_a_missing_ingredient_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="esp: no such file"):
        run(OFF, inputs={"esp": tmp_path / "esp.img"})
    assert not (tmp_path / "record").exists()


def test_a_killed_run_is_recognisably_incomplete(tmp_path: Path) -> None:
    (tmp_path / "fw").write_bytes(b"")
    source = (
        "import sys; from pathlib import Path; from harness.boot.driver import boot;"
        "from harness.machine.spec import MachineSpec;"
        "boot(MachineSpec(qemu=Path(sys.argv[1]), firmware=Path(sys.argv[2]), memory_mib=1, accel='tcg',"
        "cmdline='[{\"serial\": \"hello\"}]'), Path(sys.argv[3]), cell_id='c', platform='plain')"
    )
    record = tmp_path / "record"
    command = [sys.executable, "-c", source, str(FAKE_QEMU), str(tmp_path / "fw"), str(record)]
    with subprocess.Popen(command, cwd=PROJECT) as process:
        end = time.monotonic() + 20
        while not (record / "serial.log").exists() or (record / "serial.log").read_bytes() != b"hello":
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    with pytest.raises(HarnessError, match=r"no boot\.json, so an unfinished boot"):
        BootRecord.load(record)
    assert (record / "command.sh").exists()
