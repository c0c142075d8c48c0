# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Real boots of Linux, trimmed: one copy each for a test to break and to judge.

Console lines that no parser reads are left out, and of a ledger's kernel events those after the first 30 are
one event for each range, with the end line's totals counted anew.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.artifacts.traits import Traits
from harness.checks.asked import checks_of
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord, Ending, EndingKind, guest_document
from harness.evidence.text import plain_text
from harness.formats.json_text import write_json
from harness.matrix.cell import Cell
from tests.support import expectations
from tests.support.data import DATA
from tests.support.expectations import KERNEL, expected
from tests.support.judged import Judged
from tests.support.traces import trace_of, write_trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.artifacts.kernel.traits import KernelTraits
    from harness.checks.finding import Check
    from harness.evidence.record import StoredFile


FIRMWARE = replace(expectations.FIRMWARE, debug_output=True)


def kernel(version: str, *, snp: bool, unaccepted: bool) -> KernelTraits:
    technologies = ("snp",) if snp else ()
    return replace(KERNEL, version=version, technologies=technologies, unaccepted_memory=unaccepted)


K510 = kernel("5.10.0-32-amd64", snp=False, unaccepted=False)
K61 = kernel("6.1.0-50-amd64", snp=True, unaccepted=False)
K612 = kernel("6.12.117+deb13-amd64", snp=True, unaccepted=True)
K72 = kernel("7.2.12+deb13-amd64", snp=True, unaccepted=True)

SAMPLES = {
    "refuses": ("snp-emulated-5.10-8G", K510, 8192, "snp-emulated"),
    "eager": ("snp-emulated-6.1-8G", K61, 8192, "snp-emulated"),
    "lazy": ("snp-emulated-6.12-8G", K612, 8192, "snp-emulated"),
    "nothing": ("snp-emulated-6.12-2G", K612, 2048, "snp-emulated"),
    "plain": ("plain-7.2-8G", K72, 8192, "plain"),
}

Line = dict[str, Any]
DXE_LOG = "Loading driver at 0x0007E8C5000 EntryPoint=0x0007E8C8F5B AmdSevDxe.efi\n"
"""A line of the debug console of a firmware with DEBUG output."""


def write_ledger(path: Path, lines: list[Line]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


class Sample(Judged):
    """A copy of a sample's record that a test may break before it is judged."""

    def __init__(self, name: str, path: Path) -> None:
        self.stem, self.kernel, self.memory_mib, self.platform = SAMPLES[name]
        self.path = path
        shutil.copy(DATA / f"{self.stem}.serial.log", path / "serial.log")
        if (DATA / f"{self.stem}.ledger.jsonl").exists():
            shutil.copy(DATA / f"{self.stem}.ledger.jsonl", path / "ledger.jsonl")
            write_trace(path, trace_of(self.ledger))
        (path / "debugcon.log").write_text(DXE_LOG)
        document, _why = guest_document(self.serial)
        kind = EndingKind.COMPLETED if document else EndingKind.HANG
        self.outcome = Ending(kind, "done" if document else "kernel", "last", "detail")
        self.document: Line | None = document

    @property
    def serial(self) -> str:
        return plain_text((self.path / "serial.log").read_bytes())

    @serial.setter
    def serial(self, text: str) -> None:
        assert text != self.serial, "the mutation changed nothing"
        (self.path / "serial.log").write_text(text)

    @property
    def ledger(self) -> list[Line]:
        return [json.loads(line) for line in (self.path / "ledger.jsonl").read_text().splitlines()]

    @ledger.setter
    def ledger(self, lines: list[Line]) -> None:
        assert lines != self.ledger, "the mutation changed nothing"
        write_ledger(self.path / "ledger.jsonl", lines)

    @property
    def guest(self) -> Line:
        assert self.document is not None
        return self.document

    @property
    def checks(self) -> dict[str, Check]:
        what = expected(FIRMWARE, self.kernel, self.memory_mib, self.platform)
        return {check.name: check for check in checks_of(what)}

    def write(self) -> None:
        """Put the guest's document beside the other files."""
        if self.document is not None:
            write_json(self.path / "guest.json", self.document)

    def evidence(self, files: Mapping[str, StoredFile]) -> Evidence:
        """Return what the record shows, whose index lists ``files``."""
        record = BootRecord(
            path=self.path,
            cell=self.stem,
            platform=self.platform,
            ending=self.outcome,
            files=files,
        )
        cell = Cell("fw", "k", "direct", self.memory_mib, self.platform)
        return Evidence(record, cell, Traits(FIRMWARE, self.kernel))
