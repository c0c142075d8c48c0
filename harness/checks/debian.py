# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks of a Debian guest: that it is reached over SSH and runs whole, and what it says of its SNP self."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.finding import Check, Needs, Problem
from harness.evidence.snp_report import ECDSA_P384_SHA384, parse_response
from harness.evidence.ssh import IS_RUNNING, LIST_FAILED, RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence

"""The action by which a guest tells its SNP status and fetches an attestation report."""
_SNP_STATUS = 0b111
"""SEV_STATUS MSR: bits 0 to 2 are SEV, SEV-ES and SEV-SNP enabled (AMD APM volume 2, 15.34.10)."""


def _ssh_reached(evidence: Evidence) -> Iterator[Problem]:
    release = evidence.ssh.answer(RELEASE).stdout.strip()
    if release != (wanted := evidence.traits.kernel.version):
        yield Problem(
            "other-kernel",
            f"over SSH the kernel is {release}, the image's setup header says {wanted}",
            runs=release,
            wanted=wanted,
        )
    found = evidence.ssh.os_release
    system = f"{found.get('ID')}-{found.get('VERSION_CODENAME')}"
    if system != evidence.cell.guest:
        yield Problem(
            "other-guest", f"over SSH the guest is {system}, not {evidence.cell.guest}", guest=system
        )


def _system_runs(evidence: Evidence) -> Iterator[Problem]:
    said = evidence.ssh.answer(IS_RUNNING)
    if said.stdout.strip() != "running":
        failed = evidence.ssh.answer(LIST_FAILED).stdout.splitlines()
        yield Problem(
            "system-state",
            f"systemd says that the system is {said.stdout.strip() or 'mute'}",
            *failed,
            state=said.stdout.strip() or "mute",
        )


def _stress_verified(evidence: Evidence) -> Iterator[Problem]:
    for report in evidence.actions:
        if STRESS_VERIFIED.name not in evidence.action(report.name).judged_by:
            continue
        operations, successful = report.result.get("bogo_ops"), report.result.get("successful")
        if successful is not True or not isinstance(operations, int) or operations <= 0:
            told = f"bogo operations {operations}, successful {successful}"
            yield Problem(
                "not-verified",
                f"{report.action} did not verify memory: {told}",
                report.errors,
                action=report.name,
            )


def _snp_self(evidence: Evidence) -> Iterator[Problem]:
    for action in evidence.actions:
        if SNP_SELF.name not in evidence.action(action.name).judged_by:
            continue
        result = action.result
        status = int(str(result.get("sev_status", "0")), 0)
        if evidence.platform.technology == "none":
            if status & _SNP_STATUS or result.get("device"):
                yield Problem(
                    "sev-status",
                    f"a plain guest has SEV_STATUS {status:#x}, /dev/sev-guest: {result.get('device')}",
                    status=status,
                )
            continue
        if status & _SNP_STATUS != _SNP_STATUS:
            yield Problem(
                "sev-status",
                f"SEV_STATUS is {status:#x}: SEV, SEV-ES and SEV-SNP are bits 0 to 2",
                status=status,
            )
        if not result.get("device"):
            yield Problem("no-device", "there is no /dev/sev-guest", action.errors)
            continue
        report = parse_response(str(result.get("response", "")))
        policy = int(evidence.record.confidential.get("policy", "0"), 0)
        # The emulation has no key that a verifier could know, and says so.
        signed = ECDSA_P384_SHA384 if evidence.platform.tier == "hardware" else 0
        wrong = {
            f"version {report.version}": report.version < 2,
            f"policy {report.policy:#x}": report.policy != policy,
            f"VMPL {report.vmpl}": report.vmpl != 0,
            f"report data {report.report_data.hex()}": report.report_data.hex() != evidence.ssh.nonce,
            f"signature algorithm {report.signature_algorithm}": report.signature_algorithm != signed,
            "no measurement": not any(report.measurement),
        }
        for what, is_wrong in wrong.items():
            if is_wrong:
                yield Problem(
                    "report-field",
                    f"the attestation report has {what}",
                    f"nonce {evidence.ssh.nonce}",
                    field=what,
                )


SSH_REACHED = Check(
    "ssh-reached", "Is it this kernel and this Debian that answer over SSH?", _ssh_reached, Needs.SYSTEM
)
SYSTEM_RUNS = Check("system-runs", "Did every unit of the Debian start?", _system_runs, Needs.SYSTEM)
STRESS_VERIFIED = Check(
    "stress-verified", "Did stress-ng find all memory as it had left it?", _stress_verified, Needs.SYSTEM
)
SNP_SELF = Check(
    "snp-self", "Does the guest see its SNP status and get its attestation report?", _snp_self, Needs.SYSTEM
)
