# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rollout model: what a cell should do, known from its ingredients' traits before anything boots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.checks import acceptance, boot, memory
from harness.errors import HarnessError
from harness.evidence.ram import high_ram

if TYPE_CHECKING:
    from harness.artifacts.traits import FirmwareTraits, KernelTraits
    from harness.checks.finding import Check

OutcomeName = Literal["eager", "lazy", "nothing-to-accept", "refuses-to-boot", "plain"]
PLATFORMS = ("snp", "snp-emulated", "plain")


@dataclass(frozen=True)
class Expected:
    """What a cell should do, and why; ``high_ram`` says whether it has RAM at 4 GiB and above.

    ``eager``: the firmware accepts all memory before the kernel runs. ``lazy``: the kernel gets the high part
    unaccepted. ``nothing-to-accept``: there is no high memory. ``refuses-to-boot``: the kernel cannot run
    as an SNP guest (or the firmware, where ``kernel_refuses`` is false). ``plain``: no SNP at all.
    """

    outcome: OutcomeName
    because: str
    high_ram: bool
    kernel_refuses: bool = False


def expected(firmware: FirmwareTraits, kernel: KernelTraits, memory_mib: int, platform: str) -> Expected:
    """Give the outcome of a direct kernel boot with ``memory_mib`` MiB on ``platform``."""
    if platform not in PLATFORMS:
        raise HarnessError(f"unknown platform {platform!r}", f"known are: {', '.join(PLATFORMS)}")
    high = bool(high_ram(memory_mib))
    outcome: OutcomeName
    kernel_refuses = False
    if platform == "plain":
        outcome, because = "plain", "the guest is not confidential"
    elif not firmware.snp_capable:
        outcome, because = "refuses-to-boot", f"firmware: {firmware.sources.get('snp_capable', '')}"
    elif not kernel.snp_guest:
        outcome, because = "refuses-to-boot", f"kernel: {kernel.sources.get('snp_guest', '')}"
        kernel_refuses = True
    elif not high:
        outcome, because = "nothing-to-accept", "the firmware accepts all below 4 GiB, and there is no more"
    elif not kernel.unaccepted_memory:
        outcome, because = "eager", f"kernel: {kernel.sources.get('unaccepted_memory', '')}"
    elif not firmware.memory_acceptance:
        outcome, because = "eager", f"firmware: {firmware.sources.get('memory_acceptance', '')}"
    else:
        outcome, because = "lazy", "firmware and kernel agree on leaving memory unaccepted"
    return Expected(outcome, because, high, kernel_refuses)


_BOOTS = (boot.REACHES_USERSPACE, boot.NO_ALARMS, boot.ALL_CPUS_ONLINE)
_ACCOUNTED = (memory.RAM_ACCOUNTED, memory.E820_MATCHES_FIRMWARE, memory.KERNEL_USES_USABLE)
_NOTHING_LEFT = (memory.NO_UNACCEPTED_ENTRIES, memory.NO_UNACCEPTED_TABLE, memory.NOTHING_UNACCEPTED)
_LEDGER = (
    acceptance.LEDGER_WHOLE,
    acceptance.USABLE_IS_VALIDATED,
    acceptance.VALIDATED_ONCE,
    acceptance.NO_UNVALIDATED_ACCESS,
    acceptance.NO_TERMINATION,
)
_OF_OUTCOME: dict[OutcomeName, tuple[Check, ...]] = {
    "plain": (*_BOOTS, boot.NO_SEV_LINES, *_ACCOUNTED, *_NOTHING_LEFT, boot.NO_LEDGER),
    "nothing-to-accept": (*_BOOTS, boot.SNP_ACTIVE, *_ACCOUNTED, *_NOTHING_LEFT, *_LEDGER),
    "eager": (
        *_BOOTS,
        boot.SNP_ACTIVE,
        *_ACCOUNTED,
        *_NOTHING_LEFT,
        acceptance.ACCEPTED_BEFORE_KERNEL,
        *_LEDGER,
    ),
    "lazy": (
        *_BOOTS,
        boot.SNP_ACTIVE,
        *_ACCOUNTED,
        memory.UNACCEPTED_ENTRIES_HIGH,
        memory.UNACCEPTED_TABLE,
        memory.SOMETHING_UNACCEPTED,
        acceptance.FIRMWARE_LEFT_HIGH,
        *_LEDGER,
    ),
    "refuses-to-boot": (boot.NO_USERSPACE, boot.NO_SNP_CLAIM),
}


def checks_for(what: Expected) -> tuple[Check, ...]:
    """Give a cell's checks; ``Check.not_applicable`` names those that a platform cannot answer."""
    checks = _OF_OUTCOME[what.outcome]
    if what.outcome == "refuses-to-boot":
        return (*checks, boot.DIES_ON_UNVALIDATED) if what.kernel_refuses else checks
    return (*checks, memory.HIGH_RAM_USABLE) if what.high_ram else checks
