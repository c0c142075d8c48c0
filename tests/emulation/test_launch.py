# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The smallest guest, by which ``harness doctor`` tries a launch, and its trace events, on the emulation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from harness.boot.cell_machine import NO_SPECULATION
from harness.evidence.host.page_states import parse_page_states
from harness.evidence.signatures.signatures import shipped
from harness.machine.argv import ByHand, argv
from harness.machine.spec import TRACE
from harness.platforms import qemu_answers
from harness.platforms.examination import LAUNCH, Means, launched, spec
from harness.platforms.host import Host
from harness.platforms.registry import platform_named
from harness.platforms.sev import snp_launch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.machine.spec import MachineSpec


@pytest.fixture
def guest(qemu_binary: Path) -> MachineSpec:
    return platform_named("snp-emulated").configure(spec(Means(qemu_binary)), Host())


@pytest.mark.qemu
def test_it_asks_for_its_end(guest: MachineSpec) -> None:
    leaf = launched(Means(guest.qemu), guest)
    assert (leaf.name, leaf.state, leaf.said) == (
        LAUNCH,
        "pass",
        "an SNP guest started and asked for its end",
    )


@pytest.mark.qemu
def test_qemu_answers_when_it_is_asked_what_sev_can_do(qemu_binary: Path) -> None:
    """It has no SeaBIOS: the question comes without a board, which would want one."""
    answers = qemu_answers.ask(qemu_binary, sev=True)
    assert answers.capabilities or answers.trouble in {"KVM not enabled", "SEV is not enabled in KVM"}


@pytest.mark.qemu
def test_its_tcg_announces_that_it_does_not_speculate(qemu_binary: Path) -> None:
    assert qemu_answers.announced_by_tcg(qemu_binary, NO_SPECULATION) == NO_SPECULATION


@pytest.mark.qemu
def test_another_end_is_no_pass(guest: MachineSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = snp_launch.image()
    monkeypatch.setattr(
        snp_launch, "image", lambda: whole.replace(b"\x66\xb8\x00\xa1\xcc\x00", b"\x66\xb8\x00\x01\x01\x00")
    )
    leaf = launched(Means(guest.qemu), guest)
    assert leaf.state == "fail"
    assert "0x0:0x1" in leaf.said


@pytest.mark.qemu
def test_a_launch_that_qemu_refuses_is_no_pass(guest: MachineSpec) -> None:
    there = guest.confidential
    assert there is not None
    properties = tuple((dict(there.properties) | {"policy": "0x10000"}).items())
    refused = replace(guest, confidential=replace(there, properties=properties))
    leaf = launched(Means(guest.qemu, mend_of=lambda line: "mend" if "policy" in line else ""), refused)
    assert (leaf.state, leaf.mend) == ("fail", "mend")
    assert "policy 0x10000 is refused" in leaf.said


@pytest.mark.qemu
def test_firmware_without_a_reset_block_is_refused(
    guest: MachineSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = snp_launch.image().replace(UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e").bytes_le, b"x" * 16)
    monkeypatch.setattr(snp_launch, "image", lambda: without)
    leaf = launched(Means(guest.qemu, mend_of=_mend), guest)
    assert leaf.state == "fail"
    assert "GUID Table block not found" in leaf.said
    assert "OvmfPkgX64" in leaf.mend


def _mend(line: str) -> str:
    return next((match.signature.says.try_ for match in shipped().matches(line, "qemu")), "")


@pytest.mark.qemu
def test_its_launch_is_traced(guest: MachineSpec, tmp_path: Path) -> None:
    def command(firmware: Path) -> Sequence[str]:
        words = argv(replace(guest, firmware=firmware), ByHand())
        return [word.replace(f"file={TRACE}", f"file={tmp_path / TRACE}") for word in words]

    snp_launch.launch(command)
    states = parse_page_states((tmp_path / TRACE).read_text())
    assert [(it.start, it.end - it.start) for it in states.changes] == [
        (0xFFFF_0000, 0x1_0000),
        (0x1_0000, 0x1000),
        (0x1_1000, 0x1000),
    ]
