# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whole boots of a real QEMU with a firmware made of a few bytes."""

from __future__ import annotations

import json
import resource
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness.boot.driver import boot
from harness.boot.phases import Limit, Phase
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END, BootRecord, EndingKind
from harness.machine.machine import Machine
from harness.machine.process import LaunchError
from harness.machine.spec import ConfidentialObject, MachineSpec
from harness.platforms.qemu_answers import has_sandbox

_TALKATIVE = ("-d", "exec,nochain,int")
QUICK = dict.fromkeys(Phase, Limit(deadline=60.0, silence=40.0))


def out(port: int, data: bytes) -> bytes:
    """Assemble real-mode code that writes bytes to one I/O port."""
    return b"\xba" + port.to_bytes(2, "little") + b"".join(bytes([0xB0, byte, 0xEE]) for byte in data)


def pci_write(address: int, value: int) -> bytes:
    """Assemble a 32-bit PCI configuration write (ports 0xcf8, 0xcfc)."""
    select = b"\xba\xf8\x0c\x66\xb8" + (0x80000000 | address).to_bytes(4, "little") + b"\x66\xef"
    return select + b"\xba\xfc\x0c\x66\xb8" + value.to_bytes(4, "little") + b"\x66\xef"


# ICH9 LPC bridge (00:1f.0): PMBASE at 0x40, ACPI_CNTL bit 7 enables it; PM1_CNT: SLP_EN with SLP_TYP 0 is S5.
POWER_OFF = pci_write(0xF840, 0x601) + pci_write(0xF844, 0x80) + b"\xba\x04\x06\xb8\x00\x20\xef"


CF9_RESET = out(0xCF9, b"\x02\x06")


HALT = b"\xfa\xf4\xeb\xfd"


def rom(code: bytes) -> bytes:
    """Return a 64 KiB firmware image: code at its start, the reset vector's jump to it near its end."""
    return (code + HALT).ljust(0xFFF0, b"\x90") + b"\xe9\x0d\x00".ljust(16, b"\x90")


def real_boot(qemu_binary: Path, tmp_path: Path, code: bytes, silence: float = 40.0) -> BootRecord:
    firmware = tmp_path / "rom"
    firmware.write_bytes(rom(code))
    spec = MachineSpec(qemu=qemu_binary, firmware=firmware, memory_mib=3072, accel="tcg")
    limits = {**QUICK, Phase.INIT: Limit(deadline=60.0, silence=silence)}
    return boot(spec, tmp_path / "record", cell_id="rom", platform="plain", deadlines=limits)


GOOD = out(0x402, b"firmware\n") + out(
    0x3F8, f'Run /init as init process\r\n{DOCUMENT_BEGIN}\r\n{{"a": 1}}\r\n{DOCUMENT_END}\r\n'.encode()
)


@pytest.mark.qemu
def test_real_qemu_completes(qemu_binary: Path, tmp_path: Path) -> None:
    record = real_boot(qemu_binary, tmp_path, GOOD + POWER_OFF)
    assert record.ending.kind is EndingKind.COMPLETED, record.ending
    assert record.guest == {"a": 1}
    assert record.debugcon_text == "firmware\n"
    assert json.loads(record.bytes_of("counters.json"))["query-status"]["status"] == "shutdown"
    by_hand = subprocess.run(
        [tmp_path / "record" / "command.sh"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert by_hand.stdout == record.bytes_of("serial.log")


@pytest.mark.qemu
def test_qemu_runs_in_its_sandbox_and_within_limits(qemu_binary: Path, tmp_path: Path) -> None:
    firmware = tmp_path / "rom"
    firmware.write_bytes(rom(b"\xeb\xfe"))
    sandbox = has_sandbox(qemu_binary)
    spec = MachineSpec(
        qemu=qemu_binary, firmware=firmware, memory_mib=8192, accel="tcg", sandbox=sandbox, extra=_TALKATIVE
    )
    with Machine(spec, tmp_path / "record") as machine:
        told = Path(f"/proc/{machine.pid}/status").read_text()
        machine.cont()
        resource.prlimit(machine.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        log = machine.rundir / "qemu.log"
        assert machine.wait(lambda: log.stat().st_size >= 1 << 20 or None, 60.0)
        assert machine.qmp.execute("query-status") == {"running": True, "status": "running"}
    assert not sandbox or "Seccomp:\t2" in told
    assert log.stat().st_size == 1 << 20


@pytest.mark.qemu
def test_real_qemu_resets(qemu_binary: Path, tmp_path: Path) -> None:
    record = real_boot(qemu_binary, tmp_path, out(0x402, b"end") + out(0x3F8, b"hello\n") + CF9_RESET)
    assert (record.ending.kind, record.ending.last_line) == (EndingKind.RESET, "hello")
    assert record.debugcon_text == "end"


@pytest.mark.qemu
def test_real_qemu_hangs(qemu_binary: Path, tmp_path: Path) -> None:
    """What the guest said last is there, also half a line on the debug console, which is written in lines."""
    code = out(0x3F8, b"Run /init as init process\n") + out(0x402, b"x" * 300 + b"\nhalf a line")
    record = real_boot(qemu_binary, tmp_path, code, silence=1.0)
    assert record.ending.kind is EndingKind.HANG
    assert record.debugcon_text == "x" * 300 + "\nhalf a line"
    assert b"CS =f000" in record.bytes_of("registers.txt")


@pytest.mark.qemu
def test_half_a_line_does_not_wait_for_the_guests_stop(qemu_binary: Path, tmp_path: Path) -> None:
    firmware = tmp_path / "rom"
    firmware.write_bytes(rom(out(0x402, b"a\nb\nhalf a line")))
    spec = MachineSpec(qemu=qemu_binary, firmware=firmware, memory_mib=64, accel="tcg")
    there = threading.Event()

    def watch(_data: bytes, _t: float) -> None:
        if machine.consoles["debugcon"].total == len(b"a\nb\nhalf a line"):
            there.set()

    with Machine(spec, tmp_path) as machine:
        machine.watch("debugcon", watch)
        machine.cont()
        assert there.wait(20)


@pytest.mark.qemu
def test_real_qemu_refuses(qemu_binary: Path, tmp_path: Path) -> None:
    spec = MachineSpec(qemu=qemu_binary, firmware=tmp_path, memory_mib=64, accel="tcg", cpu="none-such")
    with pytest.raises(LaunchError, match="none-such") as caught, Machine(spec, tmp_path):
        pass
    assert caught.value.returncode == 1
    other = ConfidentialObject(type="sev-snp-guest", properties=(("no-such-property", "x"),))
    spec = replace(spec, cpu="max", confidential=other)
    with pytest.raises(LaunchError, match="no-such-property"), Machine(spec, tmp_path):
        pass
