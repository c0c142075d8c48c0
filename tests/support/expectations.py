# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What cells of given traits should do, with the actions that the harness has."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from harness.artifacts.traits import FirmwareTraits, KernelTraits, Traits
from harness.checks.model import Expectation, expectation
from harness.matrix.cell import Cell
from harness.recipes.catalog import load_catalog

if TYPE_CHECKING:
    from harness.artifacts.loader.traits import Entry
    from harness.recipes.action import GuestAction
    from harness.recipes.catalog import Catalog

FIRMWARE = FirmwareTraits(
    technologies=("snp",),
    memory_acceptance=True,
    accepts_at_exit=True,
    kernel_hashes=False,
    debug_output=False,
    sections=(),
    sources={},
)
KERNEL = KernelTraits(
    version="6.12.117",
    protocol=0x20F,
    technologies=("snp",),
    unaccepted_memory=True,
    efi_stub=True,
    handover=True,
    sources={},
)


@cache
def catalog() -> Catalog:
    return load_catalog()


def actions_of(action: str) -> tuple[GuestAction, ...]:
    return catalog().actions_of(Cell("fw", "k", "direct", 2048, "plain", action=action))


def expected(
    firmware: FirmwareTraits,
    kernel: KernelTraits,
    memory_mib: int,
    platform: str,
    entry: Entry = "efi-stub",
    **axes: object,
) -> Expectation:
    cell = Cell("fw", "k", "direct", memory_mib, platform, **axes)  # type: ignore[arg-type]  # by name
    actions, faults = catalog().actions_of(cell), catalog().faults_of(cell)
    traits = Traits(firmware, kernel, entry, actions, faults, private_mmio=catalog().private_mmio_of(cell))
    return expectation(cell, traits)
