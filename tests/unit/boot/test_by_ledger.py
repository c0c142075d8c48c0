# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The phases that the ledger shows: of firmware that is silent, and of what runs where none can."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.boot.by_ledger import with_ledger
from harness.evidence.record import PhaseMark

if TYPE_CHECKING:
    from pathlib import Path


def event(t: float, rip: int, phase: str = "firmware", op: str = "validate") -> str:
    return json.dumps({"type": "event", "t": int(t * 1e9), "rip": rip, "phase": phase, "op": op})


SILENT = (
    event(0.0, 0, "launch"),
    event(0.001, 0xFFFD48F4),
    event(0.68, 0x836540),
    event(0.8, 0x7FBE0000),
    event(0.87, 0x7ECAB873, op="psc-shared"),
    event(3.28, 0x7BEF3E13, "efi-stub"),
    event(3.29, 0x7ECAB890, "firmware-ebs"),
    event(3.39, 0x34A00965, "kernel"),
    event(3.394, 0xFFFFFFFF9F8053A3, "kernel"),
)


def test_the_ledger_shows_the_phases_of_silent_firmware(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("\n".join(SILENT) + "\n")
    shown = (PhaseMark("launch", 0.0), PhaseMark("bds", 1.28), PhaseMark("early-kernel", 3.52))
    assert [(mark.name, mark.t) for mark in with_ledger(shown, ledger)] == [
        ("launch", 0.0),
        ("sec", 0.001),
        ("pei", 0.68),
        ("dxe", 0.87),
        ("bds", 1.28),
        ("stub", 3.28),
        ("decompressor", 3.39),
        ("early-kernel", 3.52),
    ]


def test_times_never_go_back_and_what_is_known_is_no_mere_firmware(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("\n".join(SILENT[:4]) + "\n")
    shown = (PhaseMark("launch", 0.0), PhaseMark("firmware", 0.0005), PhaseMark("dxe", 0.6))
    found = with_ledger(shown, ledger)
    assert [(mark.name, mark.t) for mark in found] == [
        ("launch", 0.0), ("sec", 0.001), ("pei", 0.68), ("dxe", 0.68)
    ]  # fmt: skip


def test_once_boot_services_are_left_no_code_is_the_firmware_s(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    left = json.dumps({"type": "ebs", "event": "return", "status": 0, "t": 3, "rip": 1, "phase": "firmware"})
    ledger.write_text("\n".join((*SILENT[:4], left, event(3.3, 0x7CDF18A0))) + "\n")
    found = with_ledger((PhaseMark("launch", 0.0),), ledger)
    assert (found[-1].name, found[-1].t) == ("stub", 3.3)


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]\n", '{"t": "x", "rip": 4294789364, "phase": "firmware"}\n']
)
def test_a_ledger_that_says_nothing_changes_nothing(tmp_path: Path, text: str | None) -> None:
    ledger = tmp_path / "ledger.jsonl"
    if text is not None:
        ledger.write_text(text)
    shown = (PhaseMark("launch", 0.0), PhaseMark("firmware", 0.5))
    assert with_ledger(shown, ledger) == shown


def test_no_kernel_runs_where_no_processor_can(tmp_path: Path) -> None:
    """Where a loader runs noise, it is still the loader."""
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("\n".join((event(3.3, 0x504025, "loader"), event(3.4, 0xE738E9466D016E5A, "kernel"))))
    assert with_ledger((), ledger) == (PhaseMark("loader", 3.3),)
