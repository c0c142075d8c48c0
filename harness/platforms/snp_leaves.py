# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a host must have for SEV-SNP guests, question by question; ``harness doctor`` shows it as a tree.

The order is that of a mend: the processor, what the BIOS and the kernel make of it, who may use it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.platforms.device import device_leaf
from harness.platforms.leaf import failed, passed, skipped
from harness.platforms.sev.answers import SNP_VM
from harness.platforms.sev.firmware import LEAST, tcb_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.platforms.host import Host
    from harness.platforms.leaf import Leaf

PARAMETER = "kvm_amd.sev_snp"
"""kvm_amd has it since Linux 6.11."""
_BIOS = "switch SEV-SNP on in the BIOS (SMEE, SEV-ES ASID space limit, SNP memory coverage), then boot again"
_KERNEL = "boot a kernel from 6.11 on with kvm_amd.sev=1 kvm_amd.sev_es=1 kvm_amd.sev_snp=1"
_TABLE = re.compile(r"SEV-SNP: RMP table physical range \[(?P<range>[^\]]+)\]")
_NO_TABLE = re.compile(
    r"(?:RMP table|RMP configuration|Memory for the RMP).*(?:\bnot\b|invalid|fail)", re.IGNORECASE
)


def host_leaves(host: Host) -> tuple[Leaf, ...]:
    """Return every answer that needs neither QEMU nor a guest, in the order of a mend."""
    return tuple(_leaves(host))


def _leaves(host: Host) -> Iterator[Leaf]:
    yield _processor(host)
    yield _parameter(host)
    yield _table(host)
    yield _asids(host)
    yield device_leaf(host, "sev", "sev-device", "load the module ccp, and switch SEV on in the BIOS")
    yield device_leaf(host, "kvm", "kvm-device", "load the module kvm_amd, and switch SVM on in the BIOS")
    yield _firmware(host)
    yield _tcb(host)
    yield _vm_types(host)


def _processor(host: Host) -> Leaf:
    name, found = "processor", host.answers.encryption
    if found is None:
        return skipped(name, "CPUID 8000001F gave no answer", "run this on x86-64, where CPUID is")
    if not found.snp:
        return failed(
            name,
            "the processor does not offer SEV-SNP (CPUID 8000001F, EAX bit 4)",
            "take a host with AMD EPYC 7003 or later, not a virtual machine on one",
        )
    return passed(name, f"SEV-SNP, C-bit {found.c_bit}, {found.lost_bits} address bits fewer")


def _parameter(host: Host) -> Leaf:
    name = "kernel-parameter"
    if missing := host.lacks_parameter(PARAMETER):
        return failed(name, missing[0], _KERNEL)
    return passed(name, f"{PARAMETER} is on")


def _table(host: Host) -> Leaf:
    """Return whether there is an RMP; kvm_amd switches ``sev_snp`` off where there is none."""
    name = "rmp-table"
    for line in host.answers.log:
        if found := _TABLE.search(line):
            return passed(name, f"at {found['range']}")
        if _NO_TABLE.search(line):
            return failed(name, line.strip(), _BIOS)
    firmware = host.answers.firmware
    if firmware is not None and firmware.rmp is not None:
        if firmware.rmp:
            return passed(name, "the secure processor has it initialized")
        return failed(name, "the secure processor has not initialized it", _BIOS)
    if not host.lacks_parameter(PARAMETER):
        return passed(name, "there is one, else kvm_amd would have switched SEV-SNP off")
    return skipped(name, "the kernel's log does not say", "as root: dmesg | grep SEV-SNP")


def _asids(host: Host) -> Leaf:
    name, counted, found = "asids", host.asids, host.answers.encryption
    if counted is None and found is not None and found.snp:
        limit, taken = found.asids, None
    elif counted is not None:
        limit, taken = counted.all, counted.taken
    else:
        return skipped(name, "nobody counts them here", "mount cgroup v2, whose controller misc counts them")
    if not limit:
        return failed(name, "the BIOS leaves none for SEV-ES and SNP guests", _BIOS)
    if taken is not None and taken >= limit:
        return failed(
            name,
            f"all {limit} for SEV-ES and SNP guests are taken",
            "end other confidential guests, or raise the SEV-ES ASID space limit in the BIOS",
        )
    used = f", {taken} taken" if taken is not None else ""
    return passed(name, f"{limit} for SEV-ES and SNP guests{used}")


def _firmware(host: Host) -> Leaf:
    name, found = "sev-firmware", host.answers.firmware
    if found is None:
        trouble = host.answers.firmware_trouble
        if trouble:
            return failed(name, f"it gives no answer: {trouble}", "look for ccp in the kernel's log (dmesg)")
        return skipped(name, "nobody could ask it", "make /dev/sev open first")
    if found.old:
        return failed(
            name,
            f"version {found} is older than {LEAST[0]}.{LEAST[1]}",
            "renew the BIOS, or install the firmware of linux-firmware (amd/amd_sev_*.sbin) and boot again",
        )
    return passed(name, f"version {found}, {found.guests} guests")


def _tcb(host: Host) -> Leaf:
    name, found = "tcb", host.answers.firmware
    if found is None or found.rmp is None:
        return skipped(name, "nobody could ask for it", "make /dev/sev open first")
    parts = tcb_parts(found.tcb, host.family)
    return passed(name, ", ".join(f"{part} {value}" for part, value in parts.items()))


def _vm_types(host: Host) -> Leaf:
    name, known = "guest-memory", host.answers.kvm
    if not known:
        return skipped(name, "nobody could ask KVM", "make /dev/kvm open first")
    if not known.get("KVM_CAP_GUEST_MEMFD"):
        return failed(name, "this kernel's KVM has no guest_memfd", _KERNEL)
    if not known.get("KVM_CAP_VM_TYPES", 0) >> SNP_VM & 1:
        return failed(name, "this kernel's KVM makes no SNP guests (KVM_CAP_VM_TYPES)", _KERNEL)
    return passed(name, "KVM makes SNP guests, their memory from guest_memfd")
