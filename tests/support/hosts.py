# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Hosts as a survey finds them."""

from __future__ import annotations

from dataclasses import replace

from harness.platforms.host import Host
from harness.platforms.sev.answers import Answers, Asids
from harness.platforms.sev.cpuid import Encryption
from harness.platforms.sev.firmware import SevFirmware

_ON = {"kvm_amd.sev_snp": "Y"}
WITHOUT_DEV_SEV = Host(_ON, frozenset({"kvm"}))
SNP_HOST = Host(_ON, frozenset({"kvm", "sev"}))

GENOA = Answers(
    encryption=Encryption(0x0101_FD3F, 6 << 6 | 51, 1006, 100),
    firmware=SevFirmware(1, 55, 21, 3, rmp=True, tcb=0x5A19_0000_0000_000A),
    kvm={"KVM_CAP_GUEST_MEMFD": 1, "KVM_CAP_VM_TYPES": 0x1F},
    log=("SEV-SNP: RMP table physical range [0x000000bf8d100000 - 0x000000c04d6fffff]",),
)
"""Answers as public logs of such a host have them."""
GENOA_HOST = Host(_ON, frozenset({"kvm", "sev"}), GENOA, Asids(99, 3), 0x19)
_OLD = SevFirmware(1, 49, 6, 0, rmp=True)


def with_answers(**changes: object) -> Host:
    return replace(GENOA_HOST, answers=replace(GENOA, **changes))  # type: ignore[arg-type]


BAD_HOSTS = {
    "no-snp": (with_answers(encryption=Encryption(0xF, 51, 509, 100)), "processor", "does not offer"),
    "off": (replace(GENOA_HOST, parameters={"kvm_amd.sev_snp": "N"}), "kernel-parameter", "sev_snp is N"),
    "no-table": (
        with_answers(log=("SEV-SNP: Memory for the RMP table has not been reserved by BIOS",)),
        "rmp-table",
        "not been reserved by BIOS",
    ),
    "table-idle": (
        with_answers(log=(), firmware=replace(GENOA.firmware, rmp=False)),  # type: ignore[type-var]
        "rmp-table",
        "not initialized",
    ),
    "asids-taken": (replace(GENOA_HOST, asids=Asids(99, 99)), "asids", "all 99"),
    "no-asids": (replace(GENOA_HOST, asids=Asids(0, 0)), "asids", "leaves none"),
    "no-asids-by-cpuid": (
        replace(with_answers(encryption=Encryption(0x1F, 51, 509, 1)), asids=None),
        "asids",
        "leaves none",
    ),
    "no-sev": (replace(GENOA_HOST, devices=frozenset({"kvm"})), "sev-device", "there is no /dev/sev"),
    "sev-refused": (with_answers(refused={"sev": "Permission denied"}), "sev-device", "Permission denied"),
    "no-kvm": (replace(GENOA_HOST, devices=frozenset({"sev"})), "kvm-device", "there is no /dev/kvm"),
    "kvm-refused": (with_answers(refused={"kvm": "Permission denied"}), "kvm-device", "Permission denied"),
    "old-firmware": (with_answers(firmware=_OLD), "sev-firmware", "1.49 build 6 is older than 1.51"),
    "mute-firmware": (
        with_answers(firmware=None, firmware_trouble="Input/output error"),
        "sev-firmware",
        "no answer: Input/output error",
    ),
    "no-memfd": (with_answers(kvm={"KVM_CAP_VM_TYPES": 0x1F}), "guest-memory", "has no guest_memfd"),
    "no-vm-type": (
        with_answers(kvm={"KVM_CAP_GUEST_MEMFD": 1, "KVM_CAP_VM_TYPES": 0xF}),
        "guest-memory",
        "makes no SNP guests",
    ),
}
"""Hosts that lack one thing each: the host, the name of doctor's question, and words of its answer."""
