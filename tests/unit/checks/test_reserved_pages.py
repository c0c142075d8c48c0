# SPDX-License-Identifier: BSD-2-Clause-Patent
"""VMSA pages: kept from the kernel, and never at a multiple of 2 MiB."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.checks.reserved_pages import VMSA_OFF_2MIB, VMSA_RESERVED
from harness.evidence.ledger_model import Event, Ledger
from harness.evidence.memory_map import MemoryDescriptor
from harness.intervals import IntervalSet

if TYPE_CHECKING:
    from harness.checks.finding import Check

MIB = 1 << 20
PAGE = 4096


def event(op: str, gpa: int, phase: str = "firmware") -> Event:
    return Event(0, 0, cast("Any", op), gpa, PAGE, 1, PAGE, 0, 0, cast("Any", phase), 7)


def findings(check: Check, *events: Event, reserved: int = 3 * MIB) -> list[str]:
    map_ = [
        MemoryDescriptor(kind, frozenset(), start, start + MIB, f"{kind} at {start:#x}")
        for kind, start in (("Conventional", 2 * MIB), ("Reserved", reserved))
    ]
    ledger = Ledger(PAGE, IntervalSet.span(0, 8 * MIB), None, events)
    evidence = SimpleNamespace(ledger=ledger, memory_map=tuple(map_), end="the boot ended")
    evidence.lives = (evidence,)
    return [finding.what for finding in check(cast("Any", evidence))]


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ((event("vmsa", 3 * MIB),), ""),
        ((), "no vCPU"),
        ((event("vmsa", 2 * MIB + PAGE),), "memory that the map gives away"),
        # Made an ordinary page again before the end: nobody waits on it.
        ((event("vmsa", 2 * MIB + PAGE), event("rmpadjust", 2 * MIB + PAGE), event("vmsa", 3 * MIB)), ""),
        # The kernel's own are the kernel's business.
        ((event("vmsa", 3 * MIB), event("vmsa", 2 * MIB + PAGE, "kernel")), ""),
        ((event("vmsa", 2 * MIB + PAGE, "firmware-ebs"),), "memory that the map gives away"),
    ],
)
def test_waiting_vcpus_pages_are_reserved(events: tuple[Event, ...], says: str) -> None:
    found = findings(VMSA_RESERVED, *events)
    assert [says in found[0]] == [True] if says else not found


@pytest.mark.parametrize(
    ("page", "says"), [(3 * MIB, ""), (2 * MIB + PAGE, ""), (4 * MIB, "multiple of 2 MiB")]
)
@pytest.mark.parametrize("phase", ["firmware", "kernel"])
def test_no_vmsa_at_2_mib(page: int, says: str, phase: str) -> None:
    found = findings(VMSA_OFF_2MIB, event("vmsa", page, phase))
    assert [says in found[0]] == [True] if says else not found


def test_nothing_to_look_at_is_no_pass() -> None:
    assert findings(VMSA_OFF_2MIB)
