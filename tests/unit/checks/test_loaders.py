# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What is expected of a cell follows from how its loader enters the kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.traits import Traits
from harness.checks.asked import checks_of
from harness.checks.memory import HIGH_RAM_LOST
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord, Ending, EndingKind
from harness.matrix.cell import Cell
from tests.support.expectations import FIRMWARE, KERNEL, expected

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.loader.traits import Entry
    from harness.checks.finding import Check, Finding


def names(entry: Entry, memory: int = 8192, platform: str = "snp") -> set[str]:
    what = expected(FIRMWARE, KERNEL, memory, platform, entry=entry)
    return {check.name for check in checks_of(what)}


@pytest.mark.parametrize(
    ("entry", "memory", "platform", "outcome"),
    [
        ("efi-stub", 8192, "snp", "lazy"),
        ("handover", 8192, "snp", "lazy"),
        ("legacy", 8192, "snp", "memory-lost"),
        ("legacy", 2048, "snp", "nothing-to-accept"),
        ("legacy", 8192, "plain", "plain"),
        ("legacy-no-cbit", 2048, "snp", "refuses-to-boot"),
        ("legacy-no-cbit", 8192, "plain", "plain"),
        ("legacy-by-firmware", 2048, "snp-emulated", "refuses-to-boot"),
        ("legacy-by-firmware", 8192, "plain", "plain"),
        ("legacy", 8192, "sev-emulated", "plain"),
        ("legacy-no-cbit", 2048, "sev-emulated", "refuses-to-boot"),
        ("legacy-no-cbit", 8192, "sev-es-emulated", "refuses-to-boot"),
        ("legacy-by-firmware", 8192, "sev-emulated", "refuses-to-boot"),
        ("legacy-by-firmware", 2048, "sev-es-emulated", "refuses-to-boot"),
        ("none", 8192, "snp", "refuses-to-boot"),
        ("none", 2048, "plain", "refuses-to-boot"),
    ],
)
def test_expected(entry: Entry, memory: int, platform: str, outcome: str) -> None:
    assert expected(FIRMWARE, KERNEL, memory, platform, entry=entry).outcome == outcome


def test_firmware_that_accepts_all_loses_nothing() -> None:
    firmware = replace(FIRMWARE, memory_acceptance=False)
    assert expected(firmware, KERNEL, 8192, "snp", entry="legacy").outcome == "eager"


def test_what_a_legacy_entry_is_asked() -> None:
    lost = names("legacy")
    assert "high-ram-lost" in lost
    assert not lost & {"high-ram-usable", "e820-matches-firmware", "no-alarms"}
    assert {"accepted-before-kernel", "reaches-userspace", "nothing-unaccepted"} <= lost
    assert names("legacy-no-cbit") == {"no-userspace", "dies-in-loader"}
    assert names("legacy-by-firmware") == {"no-userspace"}
    assert "e820-matches-firmware" not in names("legacy", platform="plain")
    assert "high-ram-usable" in names("legacy", platform="plain")
    assert "e820-matches-firmware" in names("efi-stub", platform="plain")


def judge(folder: Path, kind: str, check: Check) -> list[Finding]:
    line = "[    0.000000] BIOS-e820: [mem 0x{:016x}-0x{:016x}] {}\n"
    text = line.format(0, 0x7FFFFFFF, "usable") + line.format(1 << 32, 0x27FFFFFFF, kind)
    (folder / "serial.log").write_text(text)
    outcome = Ending(kind=EndingKind.COMPLETED, phase="done", detail="", last_line="")
    record = BootRecord(path=folder, cell="c", platform="snp", ending=outcome)
    return check(Evidence(record, Cell("fw", "k", "grub", 8192, "snp"), Traits(FIRMWARE, KERNEL)))


def test_a_known_fault_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    assert judge(tmp_path, "reserved", HIGH_RAM_LOST) == []
    (finding,) = judge(tmp_path, "usable", HIGH_RAM_LOST)
    assert "6 GiB at 4 GiB and above are usable, and should be lost" in finding.what
