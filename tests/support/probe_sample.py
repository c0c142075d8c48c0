# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Real boots of the EFI probe: one copy each for a test to break and to judge.

They are documents and ledgers of ``scenarios/protocol.yaml`` with OVMF 2025.02, as they were recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.traits import MetadataSection, SectionKind
from harness.artifacts.probe import probe_traits
from harness.artifacts.traits import Traits
from harness.checks.asked import checks_of
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord, Ending, EndingKind
from harness.matrix.cell import Cell
from tests.support import expectations
from tests.support.data import DATA
from tests.support.expectations import expected
from tests.support.judged import Judged
from tests.support.linux_sample import DXE_LOG
from tests.support.traces import trace_of, write_trace

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks.finding import Check
    from harness.evidence.record import StoredFile

DOCUMENTS = DATA / "efi-probe"
FIRMWARE = replace(
    expectations.FIRMWARE,
    debug_output=True,
    sections=(
        MetadataSection(0x80_D000, 4096, SectionKind.SNP_SECRETS),
        MetadataSection(0x80_E000, 4096, SectionKind.CPUID),
    ),
)
SAMPLES = {
    "eager": (2817, "snp-emulated"),
    "lazy": (2817, "snp-emulated"),
    "accepts": (2817, "snp-emulated"),
    "stale": (2817, "snp-emulated"),
    "nothing": (2048, "snp-emulated"),
    "plain": (2817, "plain"),
}
GIB4 = 0x1_0000_0000
HIGH_PAGES = 769 << 8
INVALID_PARAMETER = "0x8000000000000002"

Line = dict[str, Any]


class Sample(Judged):
    """A sample that a test may break before it is judged."""

    def __init__(self, name: str, path: Path) -> None:
        self.memory_mib, self.platform = SAMPLES[name]
        self.path = path
        (path / "debugcon.log").write_text(DXE_LOG)
        self.document: Line = json.loads((DOCUMENTS / f"{name}.json").read_text())
        self.traits = probe_traits(self.document["cmdline"])
        self.firmware = FIRMWARE
        self.outcome = Ending(EndingKind.COMPLETED, "done", "last", "detail")
        self.ledger: list[Line] = []
        if self.platform != "plain":
            lines = (DOCUMENTS / f"{name}.ledger.jsonl").read_text().splitlines()
            self.ledger = [json.loads(line) for line in lines]
        self.trace = trace_of(self.ledger)

    @property
    def first(self) -> Line:
        attempt: Line = self.document["attempts"][0]
        return attempt

    @property
    def last(self) -> Line:
        attempt: Line = self.document["attempts"][-1]
        return attempt

    @property
    def checks(self) -> dict[str, Check]:
        what = expected(self.firmware, self.traits, self.memory_mib, self.platform)
        return {check.name: check for check in checks_of(what)}

    def write(self) -> None:
        """Write the files of the record."""
        (self.path / "guest.json").write_text(json.dumps(self.document))
        if self.ledger:
            text = "".join(json.dumps(line) + "\n" for line in self.ledger)
            (self.path / "ledger.jsonl").write_text(text)
            write_trace(self.path, self.trace)

    def evidence(self, files: Mapping[str, StoredFile]) -> Evidence:
        """Return what the record shows, whose index lists ``files``."""
        record = BootRecord(
            path=self.path,
            cell="x",
            platform=self.platform,
            ending=self.outcome,
            files=files,
        )
        cell = Cell("fw", "k", "direct", self.memory_mib, self.platform)
        return Evidence(record, cell, Traits(self.firmware, self.traits))


Mutate = Callable[[Sample], object]
