# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An attestation report as a guest got it from its firmware (AMD SEV-SNP ABI specification 1.55, 7.3)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence.problems import EvidenceError

_HEADER, _REPORT = 32, 1184
ECDSA_P384_SHA384 = 1


@dataclass(frozen=True)
class SnpReport:
    """The fields that a guest without a verifier's keys can judge."""

    version: int
    policy: int
    vmpl: int
    signature_algorithm: int
    report_data: bytes
    measurement: bytes
    signature: bytes


def parse_response(text: str) -> SnpReport:
    """Read MSG_REPORT_RSP in hexadecimal: status, size, 24 reserved bytes, report; EvidenceError if not."""
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise EvidenceError(f"the attestation report is not hexadecimal: {error}", text[:80]) from error
    if len(data) != _HEADER + _REPORT:
        raise EvidenceError(
            f"the attestation response has {len(data)} bytes, not {_HEADER + _REPORT}", text[:80]
        )
    status, size = _number(data, 0), _number(data, 4)
    if status != 0 or size != _REPORT:
        raise EvidenceError(f"the firmware refused a report: status {status:#x}, size {size}", text[:80])
    report = data[_HEADER:]
    return SnpReport(
        version=_number(report, 0),
        policy=_number(report, 0x08, 8),
        vmpl=_number(report, 0x30),
        signature_algorithm=_number(report, 0x34),
        report_data=report[0x50:0x90],
        measurement=report[0x90:0xC0],
        signature=report[0x2A0:],
    )


def _number(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(data[at : at + size], "little")
