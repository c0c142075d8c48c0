# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Hosts as a survey finds them."""

from __future__ import annotations

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
