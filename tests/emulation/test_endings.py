# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What ends an emulated SNP guest, and what is only told: each in words, in the ledger and over QMP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence.ledger import read_ledger
from tests.support.bare_metal_guest import build, command, run, run_with_qmp

if TYPE_CHECKING:
    from pathlib import Path

TOLD = {1: "validate-again", 2: "implicit-shared", 3: "implicit-private", 11: "private-mmio"}
"""Endings of endings.c that hardware lets pass, and their operations."""


KVM = ",hypervisor=kvm"


@dataclass(frozen=True)
class End:
    """Number in endings.c, the object's properties, and what QEMU says."""

    number: int
    text: str
    properties: str = ""
    reason: tuple[int, int] = (-1, -1)


ENDS = [
    End(1, "page 0x1200000 was validated twice", ",validate-twice=fatal"),
    End(2, "page 0x1200000 was used as shared without a page state change", ",implicit-conversion=fatal"),
    End(3, "page 0x1200000 was used as private without a page state change", ",implicit-conversion=fatal"),
    End(4, "VMGEXIT with a GHCB at 0x1200000 that is not shared memory"),
    End(5, "VMGEXIT with a GHCB at 0xfd00000000 that is not shared memory"),
    End(6, "the guest met #VC 0x7b (0x5) and does not support it"),
    End(7, "CPUID page or table invalid", reason=(1, 4)),
    End(8, "write of 0x1401000, the VMSA of a vCPU that runs"),
    End(9, "vCPU 1 cannot run: VMSA 0x1401000: it is no VMSA page"),
    End(10, "read of 0x1401000, the VMSA of a vCPU that runs"),
    End(11, "page 0xfee00000 is no memory, and was used with the C-bit", ",private-mmio=fatal"),
    End(11, "page 0xfee00000 is no memory, and was used with the C-bit", KVM),
    End(12, "vCPU 1 cannot run: VMSA 0x1401000: it is no VMSA page", KVM),
    End(13, "vCPU 1 cannot run: VMSA 0x1401000: EFER.SVME is clear", KVM),
    End(14, "vCPU 1 cannot run: VMSA 0x1402000: SEV_FEATURES are not SNPActive alone", KVM),
    End(15, "vCPU 1 cannot run: VMSA 0x1401000: it was destroyed, and an interrupt woke it", KVM),
    End(16, "vCPU 1 cannot run: VMSA 0x1401000: it was destroyed, and INIT and SIPI woke it", KVM),
    End(17, "VMGEXIT with a GHCB at 0x1200000 that is not registered", KVM),
    End(18, "page state change of 0xfd00000000, which is no memory, to private", KVM),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("endings"))


def events(said: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [line["data"] for line in said if line.get("event") == f"SEV_SNP_EMULATED_{name}"]


@pytest.mark.qemu
@pytest.mark.parametrize("end", ENDS, ids=lambda end: f"{end.text}{end.properties}")
def test_end(end: End, qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    ledger, debug = tmp_path / "ledger.jsonl", tmp_path / "debug.log"
    properties = f"{end.properties},ledger={ledger}"
    kvm = KVM in end.properties
    said = run_with_qmp(command(qemu_binary, image, debug, properties, ending=end.number, kvm=kvm))
    assert debug.read_text() == ""
    (told,) = events(said, "TERMINATION")
    assert told["text"] == end.text
    assert (told["reason-set"], told["reason-code"]) == end.reason
    assert told["phase"] == "firmware"
    assert "GUEST_PANICKED" in [line.get("event") for line in said]
    read = read_ledger(ledger)
    (noted,) = read.terminations
    assert (noted.text, noted.code_set, noted.code) == (end.text, *end.reason)
    faults = {4: "ghcb-not-shared", 5: "ghcb-not-shared", 8: "vmsa-access", 10: "vmsa-access"}
    expected = [faults[end.number]] if end.number in faults else []
    if end.number == 3:
        expected = ["unvalidated-access"]  # private again, the page wants validation
    assert [fault["operation"] for fault in events(said, "FAULT")] == expected
    assert [fault.op for fault in read.faults] == expected


@pytest.mark.qemu
@pytest.mark.parametrize("number", TOLD)
def test_report(number: int, qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    """By default these do not end the guest; QMP is stopped by the guest's own last words."""
    debug = tmp_path / "debug.log"
    said = run_with_qmp(command(qemu_binary, image, debug, ",private-mmio=report", ending=number))
    assert debug.read_text() == "still alive\n"
    assert [told["operation"] for told in events(said, "REPORT")] == [TOLD[number]]
    assert events(said, "REPORT")[0]["gpa"] == (0xFEE00000 if number == 11 else 0x1200000)
    assert [told["text"] for told in events(said, "TERMINATION")] == ["general termination request"]


@pytest.mark.qemu
def test_listing_the_properties_leaves_the_guest_alone(
    qemu_binary: Path, image: Path, tmp_path: Path
) -> None:
    """QEMU makes an object of the type for it."""
    listing = {"execute": "qom-list-properties", "arguments": {"typename": "sev-snp-emulated"}}
    said = run_with_qmp(command(qemu_binary, image, tmp_path / "debug.log", ending=7), listing)
    assert [told["text"] for told in events(said, "TERMINATION")] == ["CPUID page or table invalid"]


@pytest.mark.qemu
def test_migration_and_savevm_are_refused(qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    commands: list[dict[str, Any]] = [
        {"execute": "migrate", "arguments": {"uri": "tcp:127.0.0.1:9"}},
        {"execute": "human-monitor-command", "arguments": {"command-line": "savevm x"}},
    ]
    said = run_with_qmp(command(qemu_binary, image, tmp_path / "debug.log", ending=7), *commands)
    refused = "sev-snp-emulated: the guest cannot be migrated, and neither saved nor loaded"
    assert [line["error"]["desc"] for line in said if "error" in line] == [refused]
    assert any(refused in str(line.get("return")) for line in said)


@pytest.mark.qemu
def test_a_property_that_is_neither_report_nor_fatal(qemu_binary: Path, image: Path, tmp_path: Path) -> None:
    done = run(command(qemu_binary, image, tmp_path / "debug.log", ",validate-twice=maybe"))
    assert done.returncode == 1
    assert "does not accept value 'maybe'" in done.stderr
