# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rollout model: what a cell should do, known from its ingredients' traits before anything boots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.checks import acceptance, at_exit, boot, memory
from harness.checks.probe_model import PROBE_CHECKS
from harness.errors import HarnessError
from harness.evidence.ram import high_ram

if TYPE_CHECKING:
    from harness.artifacts.loader_traits import Entry
    from harness.artifacts.traits import FirmwareTraits, KernelTraits
    from harness.checks.finding import Check

OutcomeName = Literal[
    "eager", "lazy", "kernel-eager", "nothing-to-accept", "memory-lost", "refuses-to-boot", "plain"
]
PLATFORMS = ("snp", "snp-emulated", "plain")
_FATAL_TO_SNP: dict[Entry, str] = {
    "legacy-no-cbit": "the loader copies the kernel through page tables without C-bit",
    "legacy-by-firmware": "the firmware's legacy loader brings no initramfs to an SNP guest",
}


@dataclass(frozen=True)
class Expected:
    """What a cell should do, and why; ``high_ram`` says whether it has RAM at 4 GiB and above.

    ``eager``: the firmware accepts all memory before the kernel runs. ``lazy``: the kernel gets the high part
    unaccepted. ``kernel-eager``: likewise, and the kernel is told to accept it all while it boots.
    ``nothing-to-accept``: there is no high memory. ``refuses-to-boot``: the kernel cannot run
    as an SNP guest (or the firmware or loader, where ``kernel_refuses`` is false). ``memory-lost``, a known
    fault: the firmware accepts all, but the loader has called it reserved before. ``plain``: no SNP at all.
    ``probe``: the kernel is the EFI probe, which is asked other questions. ``legacy_entry``: the loader
    wrote the kernel's e820, by its own rules.
    """

    outcome: OutcomeName
    because: str
    high_ram: bool
    kernel_refuses: bool = False
    probe: bool = False
    legacy_entry: bool = False


def expected(
    firmware: FirmwareTraits,
    kernel: KernelTraits,
    memory_mib: int,
    platform: str,
    cmdline: str = "",
    entry: Entry = "efi-stub",
) -> Expected:
    """Give the outcome of a boot with ``memory_mib`` MiB on ``platform``.

    ``cmdline``: words added to the kernel's command line. ``entry``: how the loader enters the kernel.
    """
    if platform not in PLATFORMS:
        raise HarnessError(f"unknown platform {platform!r}", f"known are: {', '.join(PLATFORMS)}")
    high = bool(high_ram(memory_mib))
    outcome: OutcomeName
    kernel_refuses = False
    if entry == "none":
        outcome, because = "refuses-to-boot", "the loader knows no way into this kernel"
    elif platform == "plain":
        outcome, because = "plain", "the guest is not confidential"
    elif entry in _FATAL_TO_SNP:
        outcome, because = "refuses-to-boot", _FATAL_TO_SNP[entry]
    elif not firmware.snp_capable:
        outcome, because = "refuses-to-boot", f"firmware: {firmware.sources.get('snp_capable', '')}"
    elif not kernel.snp_guest:
        outcome, because = "refuses-to-boot", f"kernel: {kernel.sources.get('snp_guest', '')}"
        kernel_refuses = True
    elif not high:
        outcome, because = "nothing-to-accept", "the firmware accepts all below 4 GiB, and there is no more"
    else:
        outcome, because = _of_high_ram(firmware, kernel, cmdline, entry)
    return Expected(outcome, because, high, kernel_refuses, kernel.probe, entry.startswith("legacy"))


def _of_high_ram(
    firmware: FirmwareTraits, kernel: KernelTraits, cmdline: str, entry: Entry
) -> tuple[OutcomeName, str]:
    """Say who accepts the RAM at 4 GiB and above of an SNP guest that can boot, and why."""
    if not firmware.memory_acceptance:
        return "eager", f"firmware: {firmware.sources.get('memory_acceptance', '')}"
    if entry == "legacy":
        # https://github.com/AMDESE/AMDSEV/issues/200
        return "memory-lost", "the loader writes e820 and does not know unaccepted memory"
    if not kernel.unaccepted_memory:
        return "eager", f"kernel: {kernel.sources.get('unaccepted_memory', '')}"
    if _last_word(cmdline, "accept_memory=") == "eager":
        return "kernel-eager", "firmware leaves memory unaccepted; accept_memory=eager"
    return "lazy", "firmware and kernel agree on leaving memory unaccepted"


def _last_word(cmdline: str, key: str) -> str:
    """Give the value that counts when a parameter is given several times; "" when it is not there."""
    values = [word.removeprefix(key) for word in cmdline.split() if word.startswith(key)]
    return values[-1] if values else ""


_BOOTS = (boot.REACHES_USERSPACE, boot.NO_ALARMS, boot.ALL_CPUS_ONLINE)
_ACCOUNTED = (
    memory.RAM_ACCOUNTED,
    memory.E820_MATCHES_FIRMWARE,
    memory.KERNEL_USES_USABLE,
    at_exit.MEMORY_ATTRIBUTES,
)
_NOTHING_LEFT = (memory.NO_UNACCEPTED_ENTRIES, memory.NO_UNACCEPTED_TABLE, memory.NOTHING_UNACCEPTED)
_LEDGER = (
    acceptance.LEDGER_WHOLE,
    acceptance.USABLE_IS_VALIDATED,
    acceptance.VALIDATED_ONCE,
    acceptance.NO_UNVALIDATED_ACCESS,
    acceptance.NO_TERMINATION,
)
_LAZY = (
    *_BOOTS,
    boot.SNP_ACTIVE,
    *_ACCOUNTED,
    memory.UNACCEPTED_ENTRIES_HIGH,
    memory.UNACCEPTED_TABLE,
    acceptance.FIRMWARE_LEFT_HIGH,
    acceptance.EXIT_GRANTED_AT_ONCE,
    at_exit.ACCEPTS_NOTHING_AT_EXIT,
    *_LEDGER,
)
_OF_OUTCOME: dict[OutcomeName, tuple[Check, ...]] = {
    "plain": (
        *_BOOTS,
        boot.NO_SEV_LINES,
        *_ACCOUNTED,
        *_NOTHING_LEFT,
        boot.NO_LEDGER,
        at_exit.ACCEPTS_NOTHING_AT_EXIT,
    ),
    "nothing-to-accept": (
        *_BOOTS,
        boot.SNP_ACTIVE,
        *_ACCOUNTED,
        *_NOTHING_LEFT,
        acceptance.EXIT_RETRIED_ONCE,
        at_exit.ACCEPTS_ONCE_AT_EXIT,
        *_LEDGER,
    ),
    "eager": (
        *_BOOTS,
        boot.SNP_ACTIVE,
        *_ACCOUNTED,
        *_NOTHING_LEFT,
        acceptance.ACCEPTED_BEFORE_KERNEL,
        acceptance.EXIT_RETRIED_ONCE,
        acceptance.EXIT_ACCEPTS_EXACTLY,
        at_exit.ACCEPTS_ONCE_AT_EXIT,
        *_LEDGER,
    ),
    "memory-lost": (
        boot.REACHES_USERSPACE,
        boot.ALL_CPUS_ONLINE,
        boot.SNP_ACTIVE,
        memory.HIGH_RAM_LOST,
        memory.RAM_ACCOUNTED,
        *_NOTHING_LEFT,
        acceptance.ACCEPTED_BEFORE_KERNEL,
        acceptance.EXIT_RETRIED_ONCE,
        acceptance.EXIT_ACCEPTS_EXACTLY,
        at_exit.ACCEPTS_ONCE_AT_EXIT,
        *_LEDGER,
    ),
    "lazy": (*_LAZY, memory.SOMETHING_UNACCEPTED),
    "kernel-eager": (*_LAZY, memory.NOTHING_UNACCEPTED),
    "refuses-to-boot": (boot.NO_USERSPACE, boot.NO_SNP_CLAIM),
}


def checks_for(what: Expected) -> tuple[Check, ...]:
    """Give a cell's checks; ``Check.not_applicable`` names those that a platform cannot answer."""
    if what.probe:
        return PROBE_CHECKS[what.outcome]
    checks = _OF_OUTCOME[what.outcome]
    if what.outcome == "refuses-to-boot" and what.legacy_entry:
        return (boot.NO_USERSPACE,)  # the kernel may run for a while
    if what.outcome == "refuses-to-boot":
        return (*checks, boot.DIES_ON_UNVALIDATED) if what.kernel_refuses else checks
    if what.legacy_entry:
        checks = tuple(check for check in checks if check is not memory.E820_MATCHES_FIRMWARE)
    if what.outcome == "memory-lost":
        return checks
    return (*checks, memory.HIGH_RAM_USABLE) if what.high_ram else checks
