# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Platform ``snp``: an SEV-SNP guest on AMD hardware under KVM. Not yet seen on hardware."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.machine import kernel_trace
from harness.machine.kernel_trace import MEND
from harness.machine.spec import ConfidentialObject
from harness.platforms import examination, qemu_answers
from harness.platforms.leaf import failed, passed, skipped
from harness.platforms.snp_leaves import host_leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.machine.spec import MachineSpec
    from harness.platforms.examination import Means
    from harness.platforms.host import Host
    from harness.platforms.leaf import Leaf
    from harness.platforms.platform import Acceptance, Technology, Tier

TRACED = ("kvm_sev_snp_launch_update", "kvm_hc_map_gpa_range", "kvm_memory_fault", "kvm_convert_memory")
"""QEMU's trace events of page state changes, from 9.1 on; the project's emulation has the same."""
TRACEPOINTS = (
    ("kvm/kvm_vmgexit_enter", "exit_reason == 0x80000010"),
    ("kvm/kvm_vmgexit_msr_protocol_enter", "ghcb_gpa & 0x10"),
    ("kvm/kvm_rmp_fault", ""),
)
"""KVM's own, and which of their events: requests for lists of pages and, by the GHCB's MSR, for one page
(0x014; a filter compares no bits, so that a few of its neighbours come, too)."""
GUEST = "sev-snp-guest"
"""QEMU's object."""
_LAUNCH = {"cbitpos": "51", "reduced-phys-bits": "1", "policy": "0x30000"}
"""The C-bit of AMD Milan and later. A guest loses one address bit, the C-bit, whatever the host loses (QEMU's
documentation of SEV). The policy (SEV-SNP ABI, table "Guest policy") has bit 17 reserved-one and bit 16 SMT
allowed."""


def snp_guest(spec: MachineSpec, kind: str, **properties: str) -> ConfidentialObject:
    """Return an SNP guest's confidential object; ``kind`` is QEMU's type, ``properties`` are further ones."""
    hashes = {"kernel-hashes": "on"} if spec.measured_kernel else {}
    every = _LAUNCH | hashes | properties
    return ConfidentialObject(type=kind, properties=tuple(every.items()))


_OF_PLAIN_SEV = re.compile(r"failed to (?:export PDH|get ID)", re.IGNORECASE)
"""What QEMU answers besides, and a host may lack whose ASIDs are all of SNP guests."""


class Snp:
    """The real thing: what the host's kernel and the AMD Secure Processor make of a guest."""

    name = "snp"
    technology: Technology = "snp"
    tier: Tier = "hardware"
    acceptance: Acceptance = "page-states"
    deadline_factor = 4.0
    """Nobody measured KVM's limits, half of TCG's, with such guests. guest_memfd has pages of 4 KiB alone;
    each is taken, cleared and given to the guest at its first use: firmware that accepts all of them may
    take seconds for each GiB, in silence."""
    falls_back_to = "snp-emulated"

    def lacking(self, host: Host) -> tuple[str, ...]:
        """Return what the host lacks, as ``leaves`` found it, and whether KVM runs no code."""
        missing = [leaf.said for leaf in self.leaves(host) if leaf.state == "fail"]
        if not missing and (reason := host.kvm_trouble()):
            missing.append(f"KVM runs no code: {reason}")
        return tuple(missing)

    def leaves(self, host: Host) -> tuple[Leaf, ...]:
        """Return every question to the host, with its answer."""
        return host_leaves(host)

    def offered(self, host: Host) -> bool:
        """Return whether the processor has SEV-SNP."""
        found = host.answers.encryption
        return found is not None and found.snp

    def examine(self, host: Host, means: Means) -> Iterator[Leaf]:
        """Return ``leaves``, the kernel's tracepoints, QEMU's own answers and a launch."""
        found = [*self.leaves(host)]
        found.append(_tracepoints())
        found += _qemu(means, able=all(leaf.state != "fail" for leaf in found))
        yield from found
        yield examination.launched(means, self.configure(examination.spec(means), host), found)

    def configure(self, spec: MachineSpec, host: Host) -> MachineSpec:
        """Return the machine with KVM and QEMU's ``sev-snp-guest``; its C-bit is that of the processor."""
        found = host.answers.encryption
        own = {"cbitpos": str(found.c_bit)} if found is not None and found.snp else {}
        guest = snp_guest(spec, GUEST, **own)
        return replace(spec, accel="kvm", confidential=guest, trace=TRACED, tracepoints=TRACEPOINTS)


def _tracepoints() -> Leaf:
    """Return whether the host's kernel traces its guests, too; checks need QEMU's trace events alone."""
    name = "tracepoints"
    if reason := kernel_trace.trouble(TRACEPOINTS):
        return skipped(name, reason, MEND)
    return passed(name, "the kernel's tracepoints of KVM can be used")


def _qemu(means: Means, *, able: bool) -> Iterator[Leaf]:
    """Return what QEMU says; it asks KVM where the host is ``able``."""
    if means.qemu is None:
        yield examination.no_qemu("qemu", means)
        return
    answers = qemu_answers.ask(means.qemu, GUEST, sev=able)
    mend = "name QEMU 9.1 or later, built with KVM, in HARNESS_QEMU; harness build qemu makes one"
    yield qemu_answers.leaf(answers, GUEST, mend)
    name = "qemu-capabilities"
    if not able:
        yield skipped(name, "a question before it failed", "mend that first")
    elif answers.capabilities:
        yield passed(name, ", ".join(f"{key} {value}" for key, value in answers.capabilities))
    elif _OF_PLAIN_SEV.search(answers.trouble):
        yield skipped(name, f"{answers.trouble}: plain SEV's own, which SNP guests do without")
    else:
        mend = means.mend_of(answers.trouble) or "look at the host's kernel log (dmesg)"
        yield failed(name, answers.trouble, mend)


PLATFORM = Snp()
