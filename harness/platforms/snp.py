# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Platform ``snp``: an SEV-SNP guest on AMD hardware under KVM. Not yet seen on hardware."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.machine.spec import ConfidentialObject

if TYPE_CHECKING:
    from harness.machine.spec import MachineSpec
    from harness.platforms.host import Host
    from harness.platforms.platform import Acceptance, Technology, Tier

_LAUNCH = {"cbitpos": "51", "reduced-phys-bits": "1", "policy": "0x30000"}
"""C-bit and address bits of AMD Milan and later; the policy (SEV-SNP ABI, table "Guest policy") has bit 17
reserved-one and bit 16 SMT allowed."""


def snp_guest(spec: MachineSpec, kind: str, **properties: str) -> ConfidentialObject:
    """Return an SNP guest's confidential object; ``kind`` is QEMU's type, ``properties`` are further ones."""
    hashes = {"kernel-hashes": "on"} if spec.measured_kernel else {}
    return ConfidentialObject(type=kind, properties=tuple((_LAUNCH | hashes | properties).items()))


class Snp:
    """The real thing: what the host's kernel and the AMD Secure Processor make of a guest."""

    name = "snp"
    technology: Technology = "snp"
    tier: Tier = "hardware"
    acceptance: Acceptance = "page-states"
    deadline_factor = 1.0
    falls_back_to = "snp-emulated"

    def lacking(self, host: Host) -> tuple[str, ...]:
        """Return what the host lacks; Linux's kvm_amd has the parameter ``sev_snp`` since 6.11."""
        return host.lacks("kvm_amd.sev_snp", "sev")

    def configure(self, spec: MachineSpec, host: Host) -> MachineSpec:
        """Return the machine with KVM and QEMU's ``sev-snp-guest``."""
        del host
        return replace(spec, accel="kvm", confidential=snp_guest(spec, "sev-snp-guest"))


PLATFORM = Snp()
