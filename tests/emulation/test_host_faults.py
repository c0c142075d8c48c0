# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A host that fails on demand: what a guest sees of each fault, and the ledger's word for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.evidence.ledger import read_ledger
from harness.evidence.ledger_model import LIES
from tests.support.bare_metal_guest import SOURCE, build, command, run

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evidence.ledger_model import Ledger

PROGRAM = (SOURCE / "guest.c", SOURCE / "vmsa.c", SOURCE / "faults/faults.c")
REPEATED = {"psc-partial", "psc-interrupted", "size-mismatch", "busy"}
"""What comes again and again; the others come once."""
LATE_MS = 150


@dataclass(frozen=True)
class Fault:
    """Number in faults.c, and the property."""

    number: int
    names: str

    def __str__(self) -> str:
        return self.names


FAULTS = [
    Fault(0, "psc-partial"),
    Fault(1, "psc-interrupted"),
    Fault(2, "psc-refused"),
    Fault(3, "size-mismatch"),
    Fault(4, "in-use"),
    Fault(5, "busy"),
    Fault(6, "ap-late"),
    Fault(7, "shared+remapped+unvalidated"),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("faults"), PROGRAM)


def ran(qemu: Path, image: Path, folder: Path, fault: Fault, properties: str = "") -> tuple[str, Ledger]:
    """Return what the guest said, and the ledger."""
    debug, ledger = folder / "debug.log", folder / "ledger.jsonl"
    line = command(qemu, image, debug, f"{properties},ledger={ledger}", fault=fault.number)
    done = run(line)
    said = debug.read_text()
    assert said.endswith("end of tests\n"), said + done.stderr
    return said, read_ledger(ledger)


@pytest.mark.qemu
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_fault(fault: Fault, qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    said, ledger = ran(qemu_binary, image, tmp_path, fault, f",host-faults={fault.names}")
    assert re.findall(r"^FAIL.*$", said, re.MULTILINE) == []
    assert said.startswith("ok ")
    for name in fault.names.split("+"):
        events = list(ledger.select(f"host-{name}"))  # type: ignore[arg-type]
        assert len(events) == 1 or (name in REPEATED and len(events) > 1), name
        assert sum(event.count for event in events) == 1 or name in REPEATED
    assert {event.op for event in ledger.events if event.op.startswith("host-")} == {
        f"host-{name}" for name in fault.names.split("+")
    }
    lost = {event.gpa for event in ledger.events if event.op in LIES}
    assert {told.gpa for told in ledger.faults} == lost


@pytest.mark.qemu
@pytest.mark.parametrize("fault", [each for each in FAULTS if each.names != "ap-late"], ids=str)
def test_without_the_fault_its_rule_fails(
    fault: Fault, qemu_binary: Path, image: Path, tmp_path: Path
) -> None:
    said, ledger = ran(qemu_binary, image, tmp_path, fault)
    assert said.startswith("FAIL ")
    assert not [event for event in ledger.events if event.op.startswith("host-")]


@pytest.mark.qemu
def test_a_vcpu_is_late_by_some_milliseconds(qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    """The guest registers its GHCB again once the vCPU runs; what the seed says is 299 ms."""
    _said, ledger = ran(qemu_binary, image, tmp_path, FAULTS[6], ",host-faults=ap-late,fault-seed=7")
    (late,) = ledger.select("host-ap-late")
    runs = list(ledger.select("ghcb-register"))[-1]
    assert (runs.t - late.t) / 1e6 > LATE_MS


@pytest.mark.qemu
def test_a_seed_says_when(qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    in_use = Fault(4, "in-use")
    pages = []
    for seed in (1, 1, 2, 3):
        _said, ledger = ran(qemu_binary, image, tmp_path, in_use, f",host-faults=in-use,fault-seed={seed}")
        pages.append(next(ledger.select("host-in-use")).gpa)
    assert pages[0] == pages[1]
    assert len(set(pages)) > 1


@pytest.mark.qemu
def test_a_phase_without_code_has_no_faults(qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    """The guest's code is firmware throughout."""
    properties = ",host-faults=in-use,fault-phase="
    _said, ledger = ran(qemu_binary, image, tmp_path, Fault(4, "in-use"), f"{properties}kernel")
    assert ledger.first("host-in-use") is None
    _said, ledger = ran(qemu_binary, image, tmp_path, Fault(4, "in-use"), f"{properties}firmware")
    assert ledger.first("host-in-use")


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("properties", "told"),
    [
        (
            ",host-faults=psc-late",
            "unknown fault 'psc-late'; known are psc-partial, psc-interrupted, psc-refused, ",
        ),
        (",host-faults=busy+", "unknown fault ''; known are "),
        (
            ",host-faults=size-mismatch,rmp-entries=4k",
            "the fault 'size-mismatch' needs rmp-entries=2m or mixed",
        ),
        (",host-faults=busy,fault-phase=later", "does not accept value 'later'"),
        (",host-faults=busy,fault-seed=-1", "Parameter 'fault-seed' expects a uint64 value"),
    ],
)
def test_mistakes(properties: str, told: str, qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    done = run(command(qemu_binary, image, tmp_path / "debug.log", properties))
    assert done.returncode == 1
    assert told in done.stderr
    assert len([line for line in done.stderr.splitlines() if ": warning: " not in line]) == 1
