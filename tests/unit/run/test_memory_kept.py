# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Memory of a guest whose boot went wrong, in its record."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.boot.ending import FAULT_EVENT
from harness.cli import entry
from harness.errors import ExitCode
from harness.evidence.record import Ending, EndingKind
from harness.machine.memory_dump import INDEX, Span, holds
from harness.machine.qmp import Event, MonitorError
from harness.machine.spec import ConfidentialObject, MachineSpec
from harness.run.single.memory import MemoryKeeper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.machine.machine import Machine

PANIC = Ending(EndingKind.GUEST_PANIC, "kernel", "line", "it panicked")
MIB = 1 << 20
MARK = b"here it is"


class Stub:
    """An attendant that notes what the driver wants of it."""

    by_gdb = True
    types = True

    def __init__(self) -> None:
        self.did: list[str] = []

    def attach(self, _machine: Machine) -> None:
        self.did.append("attach")

    def listen(self) -> None:
        self.did.append("listen")

    def stay(self, _machine: Machine, _ending: Ending) -> None:
        self.did.append("stay")


@pytest.fixture
def spec(tmp_path: Path) -> MachineSpec:
    return MachineSpec(qemu=tmp_path / "q", firmware=tmp_path / "f", memory_mib=16, accel="tcg")


@pytest.fixture
def machine(tmp_path: Path, spec: MachineSpec) -> Iterator[Any]:
    """Yield a machine of 16 MiB, whose memory this process has open as QEMU would."""
    file = os.memfd_create("memory-backend-memfd")
    os.truncate(file, 16 * MIB)
    os.pwrite(file, MARK, 0x400100)
    asked: list[str] = []

    def execute(_command: str, **arguments: str) -> str:
        asked.append(arguments["command-line"])
        return "gpa: 0x8000000401234\r\n"

    yield SimpleNamespace(
        spec=spec,
        pid=os.getpid(),
        rundir=tmp_path,
        returncode=None,
        events=(),
        asked=asked,
        qmp=SimpleNamespace(execute=execute),
    )
    os.close(file)


def keep(machine: Any, wanted: Span | None = None, ending: Ending = PANIC) -> list[str]:
    said: list[str] = []
    inner = Stub()
    keeper = MemoryKeeper(inner, wanted, said.append)
    keeper.attach(cast("Machine", machine))
    keeper.listen()
    keeper.stay(cast("Machine", machine), ending)
    assert inner.did == ["attach", "listen", "stay"]
    assert keeper.by_gdb
    return said


def test_around_the_last_fault(machine: Any, tmp_path: Path) -> None:
    machine.events = (Event(1.0, FAULT_EVENT, {"gpa": 0x400123}), Event(2.0, "STOP"))
    plain = "what the guest wrote: it is no confidential guest"
    assert keep(machine) == [f"memory-0x400000.bin: memory 0x400000-0x5fffff, 2 MiB: {plain}"]
    data = (tmp_path / "memory-0x400000.bin").read_bytes()
    assert len(data) == 2 * MIB
    assert data.find(MARK) == 0x100
    assert json.loads((tmp_path / INDEX).read_text()) == {
        "schema": 1,
        "holds": plain,
        "files": [{"file": "memory-0x400000.bin", "start": 0x400000, "size": 2 * MIB}],
    }


def test_where_the_first_vcpu_ran(machine: Any, tmp_path: Path) -> None:
    assert keep(machine) == ["no memory is kept: no fault and no register says where; name an address"]
    (tmp_path / "registers.txt").write_text("CPU#0\nRIP=ffffffff886b2c40 RFL=00000046\n")
    assert keep(machine)[0].startswith("memory-0x400000.bin: ")
    assert machine.asked == ["gva2gpa 0xffffffff886b2c40"]

    def refuse(*_: str, **__: str) -> None:
        raise MonitorError("no")

    machine.qmp = SimpleNamespace(execute=refuse)
    assert keep(machine)[0].startswith("no memory is kept: no fault")


def test_where_the_user_says(machine: Any, tmp_path: Path) -> None:
    keep(machine, Span(0x400100, 5))
    assert (tmp_path / "memory-0x400100.bin").read_bytes() == MARK[:5]
    keep(machine, Span(15 * MIB, 4 * MIB))
    assert (tmp_path / "memory-0xf00000.bin").stat().st_size == MIB, "RAM ends there"
    said = keep(machine, Span(16 * MIB, MIB))
    assert said == ["no memory is kept: 0x1000000: the guest has no memory there: [0x0-0xffffff]"]


def test_a_good_boot_keeps_nothing(machine: Any, tmp_path: Path) -> None:
    assert keep(machine, Span(0, 5), replace(PANIC, kind=EndingKind.COMPLETED)) == []
    machine.returncode = 1
    assert keep(machine, Span(0, 5)) == ["no memory is kept: QEMU has ended, and the guest's memory with it"]
    assert list(tmp_path.iterdir()) == []


def test_what_the_files_hold(spec: MachineSpec) -> None:
    confidential = replace(spec, confidential=ConfidentialObject(type="sev-snp-guest"))
    assert holds(confidential).startswith("private and shared pages as the guest sees them")
    assert holds(replace(confidential, accel="kvm")).startswith("shared pages alone: hardware keeps")


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("0x140000123", Span(0x140000000, 2 * MIB)),
        ("0x1000+4K", Span(0x1000, 4096)),
        ("0x0+1G", Span(0, 1 << 30)),
        ("0x10+16", Span(0x10, 16)),
    ],
)
def test_spans(written: str, span: Span) -> None:
    assert Span.parse(written) == span


@pytest.mark.parametrize("written", ["", "4096", "0x", "0x10+", "0x10+0", "0x10+2G", "0x10-0x20", "0x10+1T"])
def test_what_is_no_span(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"not ADDRESS|the most"):
        Span.parse(written)
    with pytest.raises(SystemExit) as ended:
        entry.main(["boot", f"--memory-dump={written}"])
    assert ended.value.code == ExitCode.MISTAKE
    assert "--memory-dump" in capsys.readouterr().err
