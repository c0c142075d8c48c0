# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rollout model: what a cell should do, known from its ingredients' traits before anything boots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.rollout import DEADLY, TABLE, Facts, deciding_row, table
from harness.machine.memory_layout import high_ram
from harness.platforms.registry import platform_named

if TYPE_CHECKING:
    from harness.artifacts.traits import Traits
    from harness.checks.rollout import Outcome, RefusedBy
    from harness.matrix.cell import Cell

_ENDS_EARLY = frozenset({"refuses-to-boot", "hangs", "ends-loudly"})


@dataclass(frozen=True)
class Expectation:
    """What a cell should do, why, and where that is written: the model's ``row``, and its source.

    ``refused_by``: who ends the boot, where it is known who does.
    """

    cell: Cell
    traits: Traits
    outcome: Outcome
    because: str
    source: str
    row: str = ""
    refused_by: RefusedBy | None = None

    @property
    def ends_early(self) -> bool:
        """Whether the boot should end before userspace."""
        return self.outcome in _ENDS_EARLY


def expectation(cell: Cell, traits: Traits) -> Expectation:
    """Return what a cell should do, by ``rollout.yaml``; HarnessError for an unknown platform."""
    firmware, kernel = traits.firmware, traits.kernel
    technology = platform_named(cell.platform).technology
    words = cell.cmdline if traits.console else ""
    row = deciding_row(
        Facts(
            entry=traits.entry,
            technology=technology,
            firmware_supports=technology in firmware.technologies,
            kernel_supports=technology in kernel.technologies,
            high_ram=bool(high_ram(cell.memory_mib)),
            acceptance_protocol=firmware.memory_acceptance,
            kernel_unaccepted=kernel.unaccepted_memory,
            host="failing" if DEADLY.intersection(traits.faults) else "fair",
            private_apic=firmware.private_apic,
            private_mmio=traits.private_mmio,
            accept_memory="eager" if _last_word(words, "accept_memory=") == "eager" else "lazy",
        )
    )
    read_from = {
        "firmware_supports": firmware.sources.get("technologies"),
        "acceptance_protocol": firmware.sources.get("memory_acceptance"),
        "private_apic": firmware.sources.get("private_apic"),
        "kernel_supports": kernel.sources.get("technologies"),
        "kernel_unaccepted": kernel.sources.get("unaccepted_memory"),
    }
    named = [text for fact, text in read_from.items() if text and fact in row.when.named()]
    return Expectation(
        cell,
        traits,
        outcome=row.outcome,
        because="; ".join([row.because, *named]),
        source=row.source,
        row=f"{TABLE}, row {table().rows.index(row) + 1}",
        refused_by=row.refused_by,
    )


def _last_word(cmdline: str, key: str) -> str:
    """Return the value that counts when a parameter is given several times; "" when it is not there."""
    values = [word.removeprefix(key) for word in cmdline.split() if word.startswith(key)]
    return values[-1] if values else ""
