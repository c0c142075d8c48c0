# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a hardware host refuses: one message each, with what mends it, and exit code 6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ExitCode
from harness.evidence.signatures.signatures import shipped
from harness.machine.process import LaunchError
from harness.run.boots import explained

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = {
    "sev-not-permitted": ("sev_guest_init: Failed to open /dev/sev 'Permission denied'", "harness doctor"),
    "kvm-not-permitted": ("-accel kvm: failed to initialize kvm: Permission denied", "harness doctor"),
    "no-guest-memfd": ("-accel kvm: vm-type SEV-SNP not supported by KVM", "kernel 6.11 or later"),
    "pflash": ("KVM_SET_USER_MEMORY_REGION2 failed, slot=3, start=0xffc00000: Invalid argument", "-bios"),
    "pflash-part": ("could not load PC BIOS '/usr/share/OVMF/OVMF_CODE_4M.fd'", "name the whole image"),
    "wrong-qemu": ("Parameter 'qom-type' does not accept value 'sev-snp-guest'", "HARNESS_QEMU"),
    "no-memory": ("cannot set up guest memory 'ram1': Cannot allocate memory", "smaller memory"),
    "asids": ("sev_common_kvm_init: failed to create encryption context", "end other SNP guests"),
    "policy": ("sev_snp_launch_start: SNP_LAUNCH_START ret=-5 fw_error=7 'Policy is not allowed'", "0x30000"),
}


def failed(folder: Path, said: str) -> LaunchError:
    log = folder / "qemu.log"
    log.write_text(f"2026-11-30T10:41:28.808638Z qemu-system-x86_64: {said}\n")
    return LaunchError("code 1", ("qemu-system-x86_64",), 1, log)


@pytest.mark.parametrize(("said", "mend"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_what_mends_it(tmp_path: Path, said: str, mend: str) -> None:
    error = explained(failed(tmp_path, said), shipped())
    assert error.exit_code is ExitCode.HOST
    assert said in str(error)
    assert mend in error.hint
    assert error.hint.endswith(f"; its whole output is in {tmp_path / 'qemu.log'}")


def test_what_no_signature_knows_stays_as_it_is(tmp_path: Path) -> None:
    error = failed(tmp_path, "something else")
    assert explained(error, shipped()) is error
    assert error.hint == f"its whole output is in {tmp_path / 'qemu.log'}"
