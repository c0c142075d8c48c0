# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rollout table: complete, without idle rows, and the same in the documentation."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest

from harness.artifacts.loader.traits import Entry
from harness.checks.asked import checks_of
from harness.checks.rollout import OUTCOMES, Facts, Row, deciding_row, table
from harness.errors import HarnessError
from harness.platforms.registry import platforms
from tests.support.data import PROJECT
from tests.support.expectations import FIRMWARE, KERNEL, expected
from tests.support.reference_tables import condition

if TYPE_CHECKING:
    from harness.platforms.platform import Technology

TECHNOLOGIES: tuple[Technology, ...] = tuple(sorted({each.technology for each in platforms().values()}))
FLAGS = (
    *("firmware_supports", "kernel_supports", "high_ram", "acceptance_protocol", "kernel_unaccepted"),
    "private_apic",
)
EVERY = [
    Facts(
        entry=entry,
        technology=technology,
        accept_memory=accept,
        host=host,
        private_mmio="ends",
        **dict(zip(FLAGS, flags, strict=True)),
    )
    for entry in get_args(Entry)
    for technology in TECHNOLOGIES
    for accept in ("lazy", "eager")
    for host in ("fair", "failing")
    for flags in itertools.product((False, True), repeat=len(FLAGS))
]


def test_every_boot_has_a_row_and_every_row_a_boot() -> None:
    deciding = {deciding_row(facts) for facts in EVERY}
    assert deciding == set(table().rows)


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({}, "lazy"),
        ({"kernel_unaccepted": False}, "eager"),
        ({"acceptance_protocol": False}, "eager"),
        ({"acceptance_protocol": False, "entry": "legacy"}, "eager"),
        ({"entry": "legacy"}, "memory-lost"),
        ({"entry": "legacy", "kernel_unaccepted": False}, "memory-lost"),
        ({"entry": "handover"}, "lazy"),
        ({"accept_memory": "eager"}, "kernel-eager"),
        ({"accept_memory": "eager", "kernel_unaccepted": False}, "eager"),
        ({"high_ram": False, "entry": "legacy"}, "nothing-to-accept"),
        ({"kernel_supports": False}, "refuses-to-boot"),
        ({"host": "failing"}, "ends-loudly"),
        ({"host": "failing", "technology": "none"}, "plain"),
        ({"host": "failing", "firmware_supports": False}, "refuses-to-boot"),
        ({"technology": "none", "kernel_supports": False, "entry": "legacy"}, "plain"),
        ({"technology": "none", "entry": "none"}, "refuses-to-boot"),
        ({"private_apic": True}, "refuses-to-boot"),
        ({"private_apic": True, "private_mmio": "goes-on"}, "lazy"),
        ({"private_apic": True, "technology": "sev-es"}, "plain"),
    ],
)
def test_rows(facts: dict[str, object], outcome: str) -> None:
    usual: dict[str, object] = dict.fromkeys(FLAGS, True) | {
        "private_apic": False,
        "entry": "efi-stub",
        "technology": "snp",
        "accept_memory": "lazy",
    }
    assert deciding_row(Facts(**usual | facts)).outcome == outcome  # type: ignore[arg-type]


def test_a_technology_without_rows_is_named() -> None:
    with pytest.raises(HarnessError, match="says nothing of technology 'tdx'"):
        deciding_row(replace(EVERY[0], entry="efi-stub", technology="tdx"))


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("probe", [False, True])
def test_every_outcome_has_checks(outcome: str, *, probe: bool) -> None:
    told = expected(FIRMWARE, replace(KERNEL, probe=probe), 8192, "snp")
    names = [check.name for check in checks_of(replace(told, outcome=outcome))]  # type: ignore[arg-type]
    assert names or (probe and outcome == "memory-lost")
    assert len(names) == len(set(names))


def shown(row: Row) -> str:
    said = [f"{name.replace('_', '-')} {condition(value)}" for name, value in row.when.named().items()]
    return f"| {', '.join(said) or 'otherwise'} | **{row.outcome}** | {row.because} | {row.source} |"


def test_the_documentation_has_the_table() -> None:
    text = (PROJECT / "docs/explanation/rollout.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[2 : 2 + len(table().rows)] == [shown(row) for row in table().rows]
