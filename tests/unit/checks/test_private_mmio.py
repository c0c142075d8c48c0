# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Firmware that uses the local APIC with the C-bit: where it ends, and what it may do where it goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.traits import Traits
from harness.checks.acceptance import NO_PRIVATE_MMIO
from harness.checks.asked import checks_of
from harness.checks.boot import ENDS_ON_PRIVATE_MMIO
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord, Ending, EndingKind
from harness.matrix.cell import Cell
from tests.support.expectations import FIRMWARE, KERNEL, expected
from tests.support.linux_mutations import add_event
from tests.support.linux_sample import Sample

if TYPE_CHECKING:
    from pathlib import Path

OLD = replace(FIRMWARE, private_apic=True, sources={"private_apic": "SEC never loads CR3"})
EMULATED = "the emulation ended the guest: page 0xfee00000 is no memory, and was used with the C-bit; by x"
BY_KVM = (
    "QEMU ended with exit code 1; QEMU said: qemu-system-x86_64: "
    "Convert non guest_memfd backed memory region (0xfee00000 ,+ 0x1000) to private"
)
LINUX = "[    0.000000] Linux version 6.12.117 (x@y) (gcc) #1 SMP\n"


@pytest.mark.parametrize("platform", ["snp", "snp-emulated"])
def test_old_firmware_ends_on_a_host_of_today(platform: str) -> None:
    what = expected(OLD, KERNEL, 8192, platform)
    assert (what.outcome, what.refused_by) == ("refuses-to-boot", "host")
    assert "starts on no host with QEMU 9.1 or later; SEC never loads CR3" in what.because
    assert [check.name for check in checks_of(what)] == ["ends-on-private-mmio"]


@pytest.mark.parametrize("entry", ["none", "legacy-no-cbit", "legacy"])
def test_it_ends_before_any_loader(entry: str) -> None:
    assert expected(OLD, KERNEL, 8192, "snp", entry=entry).refused_by == "host"  # type: ignore[arg-type]


def test_old_firmware_goes_on_elsewhere() -> None:
    assert expected(OLD, KERNEL, 8192, "snp-emulated", emulation="older-host").outcome == "lazy"
    assert expected(OLD, KERNEL, 8192, "snp-emulated", emulation="spec").outcome == "lazy"
    assert expected(OLD, KERNEL, 8192, "sev-es-emulated").outcome == "plain"
    assert expected(OLD, KERNEL, 8192, "plain").outcome == "plain"


def found(path: Path, kind: EndingKind, detail: str, serial: str = "") -> list[str]:
    (path / "serial.log").write_text(serial)
    record = BootRecord(path=path, cell="c", platform="snp", ending=Ending(kind, "sec", "", detail), files={})
    evidence = Evidence(record, Cell("fw", "k", "direct", 8192, "snp"), Traits(OLD, KERNEL))
    return [finding.kind for finding in ENDS_ON_PRIVATE_MMIO.findings(evidence)]


@pytest.mark.parametrize(
    ("kind", "detail", "serial", "kinds"),
    [
        (EndingKind.TERMINATED, EMULATED, "", []),
        (EndingKind.QEMU_EXIT, BY_KVM, "", []),
        (EndingKind.TERMINATED, EMULATED.replace("fee", "fec"), "", ["died-otherwise"]),
        (EndingKind.QEMU_EXIT, BY_KVM.replace("fee", "fec"), "", ["died-otherwise"]),
        (EndingKind.TERMINATED, EMULATED, LINUX, ["kernel-started"]),
        (EndingKind.COMPLETED, "QMP event SHUTDOWN, reason guest-shutdown", "", ["died-otherwise"]),
        (EndingKind.HANG, "phase sec lasted longer than 20 s", "", ["died-otherwise"]),
        (EndingKind.COMPLETED, "", LINUX, ["kernel-started", "died-otherwise"]),
    ],
)
def test_what_counts_as_such_an_end(
    tmp_path: Path, kind: EndingKind, detail: str, serial: str, kinds: list[str]
) -> None:
    assert found(tmp_path, kind, detail, serial) == kinds


@pytest.mark.parametrize(
    ("gpa", "phase", "private_apic", "wrong"),
    [
        (0xFEE0_0000, "firmware", True, False),
        (0xFEE0_0000, "firmware", False, True),
        (0xFEE0_0000, "kernel", True, True),
        (0xFEC0_0000, "firmware", True, True),
    ],
)
def test_an_older_host_lets_known_firmware_alone_use_the_local_apic(
    tmp_path: Path, gpa: int, phase: str, *, private_apic: bool, wrong: bool
) -> None:
    sample = Sample("lazy", tmp_path)
    add_event(sample, 60, op="private-mmio", gpa=gpa, phase=phase)
    sample.write()
    evidence = sample.evidence({})
    traits = replace(evidence.traits, firmware=replace(FIRMWARE, private_apic=private_apic))
    findings = list(NO_PRIVATE_MMIO.findings(replace_traits(evidence, traits)))
    assert [finding.kind for finding in findings] == (["private-mmio"] if wrong else [])


def replace_traits(evidence: Evidence, traits: Traits) -> Evidence:
    return Evidence(evidence.record, evidence.cell, traits)
