# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What becomes of an SNP guest in QEMU, where a scenario cannot ask: real boots with a special machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.boot.phases import Phase
from harness.evidence.record import EndingKind

if TYPE_CHECKING:
    from harness.evidence.evidence import Evidence
    from harness.machine.spec import MachineSpec
    from harness.pytest_plugin.own.ladder import BootFactory

pytestmark = [pytest.mark.qemu, pytest.mark.cell(memory="2G", platform="snp-emulated")]


@pytest.mark.cell(kernel=["debian-6.1", "debian-6.12", "debian-7.3"], vcpus=4, action="cpu-cycle")
def test_all_vcpus_share_one_thread(boot: BootFactory, spec: MachineSpec) -> None:
    """Bring-up, offline and online under single-threaded TCG; the scenarios use a thread per vCPU."""
    done = boot(spec=replace(spec, accel="tcg,thread=single"))
    assert done.record.ending.kind is EndingKind.COMPLETED
    (report,) = done.evidence.actions
    assert report.result == {"before": "0-3", "offline": "0", "after": "0-3"}


@pytest.mark.cell(kernel="debian-6.12", action="reboot")
def test_an_snp_guest_cannot_be_reset(boot: BootFactory, spec: MachineSpec) -> None:
    """The VM ends although this QEMU would reset a machine that reboots."""
    record = boot(spec=replace(spec, extra=(*spec.extra, "-action", "reboot=reset"))).record
    assert record.ending.kind is EndingKind.RESET
    assert "cpus are not resettable, terminating" in record.bytes_of("qemu.log").decode()
    assert record.whole_text.count("Linux version") == 1


@pytest.mark.cell(kernel="debian-6.12", action="kexec")
def test_kexec_before_linux_6_14_meets_a_page_that_was_shared(evidence: Evidence) -> None:
    ending = evidence.record.ending
    assert (ending.kind, ending.phase) == (EndingKind.UNVALIDATED_ACCESS, Phase.ACTIONS.label)
    assert [report.action for report in evidence.actions] == ["kexec"]
