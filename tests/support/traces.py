# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Trace events of a boot whose ledger is stored, and what hardware would have left of such a boot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.evidence.record import PhaseMark
from harness.machine.spec import TRACE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.evidence.evidence import Evidence
    from tests.support.linux_sample import Sample

ZERO = 1_700_000_000
"""When the guest was let run, in seconds since 1970: 2023-11-14T22:13:20Z."""
_REQUESTS = {"psc-private": True, "psc-shared": False}
_FAULTS = {"implicit-private": True, "implicit-shared": False}


def trace_of(ledger: Iterable[dict[str, Any]]) -> list[str]:
    """Return the trace of a ledger's lines; requests that it has merged are one."""
    lines = []
    for line in ledger:
        op = line.get("op")
        if line["type"] != "event":
            continue
        stamp = f"7@{ZERO + line['t'] / 1e9:.6f}:"
        where = f"{line['gpa']:#x} size {line['size']:#x}"
        if op == "launch-private":
            launched = f"src 0x0 gpa {line['gpa']:#x} len {line['size']:#x} (Normal page)"
            lines.append(f"{stamp}kvm_sev_snp_launch_update {launched}")
            continue
        private = (_REQUESTS | _FAULTS).get(str(op))
        if private is None:
            continue
        if op in _REQUESTS:
            attributes = (0x10 if private else 0) | (line["entry"] > 4096)
            lines.append(f"{stamp}kvm_hc_map_gpa_range gpa {where} attributes {attributes:#x} flags 0x1")
        else:
            lines.append(f"{stamp}kvm_memory_fault start {where} flags {0x8 if private else 0:#x}")
        to = "shared_to_private" if private else "private_to_shared"
        lines.append(f"{stamp}kvm_convert_memory start {where} {to}")
    return lines


def request(start: int, size: int, t: float, *, private: bool = True, large: bool = True) -> list[str]:
    """Return the two lines of a request."""
    stamp, where = f"7@{ZERO + t:.6f}:", f"{start:#x} size {size:#x}"
    attributes = (0x10 if private else 0) | large
    to = "shared_to_private" if private else "private_to_shared"
    return [
        f"{stamp}kvm_hc_map_gpa_range gpa {where} attributes {attributes:#x} flags 0x1",
        f"{stamp}kvm_convert_memory start {where} {to}",
    ]


def write_trace(folder: Path, lines: Iterable[str]) -> None:
    """Put a trace beside a record's other files."""
    (folder / TRACE).write_text("".join(f"{line}\n" for line in lines))


def traced(sample: Sample) -> Evidence:
    """Return the evidence of a sample that an emulated boot with trace events left."""
    sample.write()
    found = sample.evidence({})
    times: dict[str, Any] = {"started": "2023-11-14T22:13:19+00:00", "durations": {"launch": 1.0}}
    return replace(found, record=replace(found.record, phases=_phases(sample), **times))


def on_hardware(sample: Sample, **changes: Any) -> Evidence:
    """Return the evidence that hardware would have left of the same boot: no ledger, the trace alone."""
    found = traced(sample)
    (sample.path / "ledger.jsonl").rename(sample.path / "ledger.kept")
    record = replace(found.record, platform="snp", **changes)
    return replace(found, record=record, cell=replace(found.cell, platform="snp"))


def _phases(sample: Sample) -> tuple[PhaseMark, ...]:
    """Return when the stub began, before ExitBootServices, and the kernel, with its first event."""
    calls = [line["t"] for line in sample.ledger if line["type"] == "ebs"]
    kernel = [line["t"] for line in sample.ledger if line.get("phase") == "kernel"]
    marks = [("launch", 0), ("bds", 1), ("stub", calls[0] - 1), ("early-kernel", kernel[0])]
    return tuple(PhaseMark(name, t / 1e9) for name, t in marks)
