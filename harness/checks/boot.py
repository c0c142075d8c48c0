# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks of how far the boot went, and of what the guest says it is."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from harness.artifacts.firmware.traits import LOCAL_APIC
from harness.checks.ended import ended
from harness.checks.finding import Check, Needs, Problem
from harness.checks.host import page_states
from harness.evidence.kernel_log import kernel_release, sev_lines
from harness.evidence.problems import EvidenceError
from harness.evidence.record import INDEX, EndingKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.evidence.evidence import Evidence
    from harness.platforms.platform import Technology

FEATURES: Mapping[Technology, frozenset[str]] = {
    "snp": frozenset({"SEV", "SEV-ES", "SEV-SNP"}),
    "sev-es": frozenset({"SEV", "SEV-ES"}),
    "sev": frozenset({"SEV"}),
}
"""What Linux calls active, by technology (arch/x86/mm/mem_encrypt.c, print_mem_encrypt_feature_info())."""
_NOT_THE_GUESTS_OWN = frozenset({EndingKind.QEMU_EXIT, EndingKind.UNREACHABLE, EndingKind.HOST})
"""Ends that say nothing about the guest: QEMU died or was stopped, or the harness could not talk to it."""
_MOST_VCPUS = 4096
"""Of q35; a record of somebody else may say anything."""
# 5.10 says "SEV-ES: Unsupported exit-code 0x404 in early #VC", and "PANIC: Unsupported" before it gives up.
_DEATH_BY_VC = re.compile(r"^.*Unsupported exit-code 0x404 in early #VC exception.*$", re.MULTILINE)

_DEATH_BY_APIC = re.compile(
    rf"page {LOCAL_APIC:#x} is no memory, and was used with the C-bit"
    rf"|Convert non guest_memfd backed memory region \({LOCAL_APIC:#x} "
)
"""What QEMU says of a guest that it ends: the emulation's, and the one for KVM (kvm_convert_memory())."""


def _reaches_userspace(evidence: Evidence) -> Iterator[Problem]:
    if evidence.record.ending.kind is not EndingKind.COMPLETED and not evidence.cell.action:
        yield ended(evidence)
        if evidence.record.guest is None:
            return
    running = evidence.guest.kernel.release
    if running != (wanted := evidence.traits.kernel.version):
        yield Problem(
            "other-kernel",
            f"the guest runs {running}, the image's setup header says {wanted}",
            runs=running,
            wanted=wanted,
        )


def _kernel_ran(evidence: Evidence) -> Iterator[Problem]:
    """Ask the ledger alone: a kernel without a console says nothing, and ends in silence without an init."""
    if evidence.ledger.first(phase="kernel") is None:
        yield ended(evidence)


def _no_alarms(evidence: Evidence) -> Iterator[Problem]:
    for found in evidence.signatures.alarms(evidence.record.serial_text):
        yield Problem("alarm", f"the kernel log shows a {found.alarm}", found.line, alarm=str(found.alarm))
    for said in evidence.record.left_out:
        yield Problem("flood", f"the guest floods its console, and a part of it proves nothing: {said}")


def _all_cpus_online(evidence: Evidence) -> Iterator[Problem]:
    vcpus = evidence.record.spec.get("vcpus", 1)
    if not isinstance(vcpus, int) or not 0 < vcpus <= _MOST_VCPUS:
        raise EvidenceError(f"{evidence.record.path / INDEX} is damaged: vcpus {vcpus!r}", "boot it again")
    wanted = frozenset(range(vcpus))
    if evidence.guest.online != wanted:
        said = evidence.guest.cpus_online or "none"
        yield Problem(
            "cpus-online",
            f"the machine has {len(wanted)} vCPUs, online are: {said}",
            wanted=len(wanted),
            online=said,
        )


def _technology_active(evidence: Evidence) -> Iterator[Problem]:
    promised, found = FEATURES[evidence.platform.technology], evidence.features or frozenset()
    said = "nothing" if evidence.features is None else ", ".join(sorted(evidence.features))
    if extra := found - promised:
        yield Problem(
            "features-extra",
            f"the kernel says that {', '.join(sorted(extra))} is active, too",
            *sev_lines(evidence.record.serial_text),
            extra=", ".join(sorted(extra)),
        )
    if missing := promised - found:
        yield Problem(
            "features-missing",
            f"the kernel does not say that {', '.join(sorted(missing))} is active; it says: {said}",
            *sev_lines(evidence.record.serial_text),
            missing=", ".join(sorted(missing)),
        )


def _no_sev_lines(evidence: Evidence) -> Iterator[Problem]:
    if kernel_release(evidence.record.serial_text) is None:
        yield Problem("no-kernel", "no kernel spoke on the console", evidence.end)
    lines = dict.fromkeys((*sev_lines(evidence.record.serial_text), *evidence.guest.sev.log))
    if lines:
        yield Problem("speaks-of-sev", "a plain guest speaks of SEV", *lines)
    if evidence.guest.sev.vmpl is not None:
        yield Problem("has-vmpl", f"a plain guest has a VMPL: {evidence.guest.sev.vmpl}")


def _no_ledger(evidence: Evidence) -> Iterator[Problem]:
    if evidence.record.ledger_path is not None:
        yield Problem(
            "has-ledger", "a plain guest has an acceptance ledger", str(evidence.record.ledger_path.name)
        )


def _no_userspace(evidence: Evidence) -> Iterator[Problem]:
    outcome = evidence.record.ending
    if evidence.record.guest is not None or outcome.kind == EndingKind.COMPLETED:
        yield Problem("reached-userspace", "the guest reached userspace, which it must not", evidence.end)
    if outcome.kind in _NOT_THE_GUESTS_OWN:
        yield Problem(
            "ended-by-another",
            "it was not the guest that ended the boot",
            evidence.end,
            outcome.detail,
            ending=str(outcome.kind),
        )


def _dies_in_loader(evidence: Evidence) -> Iterator[Problem]:
    """Ask that the loader is the first to touch an unvalidated page.

    Where nobody touches one, the guest ran what the loader had read without the C-bit from private pages:
    noise.
    """
    if release := kernel_release(evidence.record.serial_text):
        yield Problem(
            "kernel-started", f"the loader got as far as to start the kernel {release}", evidence.end
        )
    phases = [fault.phase for fault in evidence.ledger.faults if fault.op == "unvalidated-access"]
    phases = phases or [event.phase for event in islice(evidence.ledger.select("shared-read"), 1)]
    if phases[:1] != ["loader"]:
        yield Problem(
            "touched-by-another",
            f"no page was used wrongly by the loader, but by {', '.join(phases) or 'nobody'}",
            evidence.end,
            phases=", ".join(phases),
        )


def _never_started(evidence: Evidence) -> Iterator[Problem]:
    """Ask for QEMU's own words, of emulation or KVM: it looks for the metadata before the guest runs."""
    outcome = evidence.record.ending
    if (outcome.kind, outcome.phase) != (EndingKind.QEMU_EXIT, "launch"):
        yield Problem("started", "QEMU started a guest whose firmware has no SEV metadata", evidence.end)
    elif "SEV metadata" not in outcome.detail:
        yield Problem(
            "not-started", "QEMU did not start the guest, but not for want of SEV metadata", outcome.detail
        )


def _ends_on_private_mmio(evidence: Evidence) -> Iterator[Problem]:
    """Ask for QEMU's own words, of emulation or KVM, and that no kernel ran before."""
    ending = evidence.record.ending
    if release := kernel_release(evidence.record.serial_text):
        yield Problem("kernel-started", f"the kernel {release} ran before the end", evidence.end)
    if not _DEATH_BY_APIC.search(ending.detail):
        yield Problem(
            "died-otherwise",
            "it was not for using the local APIC with the C-bit that the host ended the guest",
            evidence.end,
            ending.detail,
            ending=str(ending.kind),
        )


def _hangs(evidence: Evidence) -> Iterator[Problem]:
    if evidence.record.ending.kind is not EndingKind.HANG:
        yield Problem(
            "ended",
            "the boot ended, and should have gone on for ever",
            evidence.end,
            ending=str(evidence.record.ending.kind),
        )


def _no_snp_claim(evidence: Evidence) -> Iterator[Problem]:
    if "SEV-SNP" in (evidence.features or frozenset()):
        yield Problem(
            "claims-snp",
            "a kernel without SNP support says that SEV-SNP is active",
            *sev_lines(evidence.record.serial_text),
        )


def _dies_on_unvalidated_access(evidence: Evidence) -> Iterator[Problem]:
    """Ask for the kernel's own last words (they need earlyprintk), or the ledger's record of the access."""
    if _DEATH_BY_VC.search(evidence.record.serial_text):
        return
    if evidence.record.ledger_path is None:
        yield Problem("died-otherwise", "nothing shows that the kernel died of #VC 0x404", evidence.end)
        return
    faults = [fault for fault in evidence.ledger.faults if fault.op == "unvalidated-access"]
    if not any(fault.phase == "kernel" for fault in faults):
        yield Problem(
            "died-otherwise",
            "neither the console nor the ledger shows that the kernel died of #VC 0x404",
            evidence.end,
            *(
                f"ledger line {fault.line}: {fault.access} of {fault.gpa:#x} in {fault.phase}"
                for fault in faults
            ),
        )


REACHES_USERSPACE = Check(
    "reaches-userspace", "Did the guest report and power off?", _reaches_userspace, Needs.REPORT
)
KERNEL_RAN = Check("kernel-ran", "Does the ledger show that the kernel ran?", _kernel_ran, Needs.LEDGER)
NO_ALARMS = Check("no-alarms", "Is the kernel log free of panics, bugs and warnings?", _no_alarms, Needs.LOG)
ALL_CPUS_ONLINE = Check("all-cpus-online", "Did every vCPU come up?", _all_cpus_online, Needs.REPORT)
TECHNOLOGY_ACTIVE = Check(
    "technology-active",
    "Does the guest say that exactly what its technology consists of is active?",
    _technology_active,
    Needs.LOG,
)
NO_SEV_LINES = Check("no-sev", "Is a plain guest silent about SEV?", _no_sev_lines, Needs.LOG)
NO_LEDGER = Check("no-ledger", "Is a plain guest free of an acceptance ledger?", _no_ledger, Needs.RECORD)
NO_USERSPACE = Check("no-userspace", "Does the boot end before userspace?", _no_userspace, Needs.RECORD)
DIES_IN_LOADER = Check(
    "dies-in-loader",
    "Known fault: does the loader die of a page that it uses wrongly, before the kernel runs?",
    _dies_in_loader,
    Needs.LEDGER,
    by_page_states=page_states.dies_in_loader,
)
NEVER_STARTED = Check(
    "never-started",
    "Does QEMU refuse to start a guest that lacks SEV metadata?",
    _never_started,
    Needs.RECORD,
)
ENDS_ON_PRIVATE_MMIO = Check(
    "ends-on-private-mmio",
    "Does the host end the guest for using the local APIC with the C-bit?",
    _ends_on_private_mmio,
    Needs.RECORD,
)
HANGS = Check("hangs", "Known fault: does the boot go on for ever?", _hangs, Needs.RECORD)
NO_SNP_CLAIM = Check(
    "no-snp-claim", "Is a kernel that lacks SNP support silent about SEV-SNP?", _no_snp_claim, Needs.LOG
)
DIES_ON_UNVALIDATED = Check(
    "dies-on-unvalidated-access",
    "Does a kernel that lacks SNP support die on its first unvalidated page?",
    _dies_on_unvalidated_access,
    Needs.RECORD,
)
