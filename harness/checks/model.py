# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rollout model: what a cell should do, known from its ingredients' traits before anything boots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks import acceptance, boot, conservation, exit_acceptance, handoff, memory, reserved_pages
from harness.checks.probe_model import PROBE_CHECKS
from harness.checks.rollout import TABLE, Facts, deciding_row, table
from harness.machine.memory_layout import high_ram
from harness.platforms.registry import platform_named

if TYPE_CHECKING:
    from harness.artifacts.loader.traits import Entry
    from harness.artifacts.traits import FirmwareTraits, KernelTraits
    from harness.checks.finding import Check
    from harness.checks.rollout import Outcome, RefusedBy
    from harness.platforms.platform import Technology


@dataclass(frozen=True)
class Expected:
    """What a cell should do, why, and where that is written: the model's ``row``, and its source.

    ``high_bytes``: how much RAM it has at 4 GiB and above, which is what ``memory-lost`` loses.
    ``refused_by``: who cannot run it as a confidential guest. ``probe``: the kernel is the EFI
    probe, which is asked other questions. ``legacy_entry``: the loader wrote the kernel's e820, by its own
    rules.
    """

    outcome: Outcome
    because: str
    source: str
    row: str = ""
    high_bytes: int = 0
    refused_by: RefusedBy | None = None
    probe: bool = False
    legacy_entry: bool = False
    vcpus: int = 1
    technology: Technology = "none"


def expected(
    firmware: FirmwareTraits,
    kernel: KernelTraits,
    memory_mib: int,
    platform: str,
    cmdline: str = "",
    entry: Entry = "efi-stub",
    vcpus: int = 1,
) -> Expected:
    """Give the outcome of a boot with ``memory_mib`` MiB on ``platform``, by the table in ``rollout.yaml``.

    ``cmdline``: words added to the kernel's command line. ``entry``: how the loader enters the kernel.
    """
    high_bytes, technology = high_ram(memory_mib).size, platform_named(platform).technology
    row = deciding_row(
        Facts(
            entry=entry,
            technology=technology,
            firmware_supports=technology in firmware.technologies,
            kernel_supports=technology in kernel.technologies,
            high_ram=high_bytes > 0,
            acceptance_protocol=firmware.memory_acceptance,
            kernel_unaccepted=kernel.unaccepted_memory,
            accept_memory="eager" if _last_word(cmdline, "accept_memory=") == "eager" else "lazy",
        )
    )
    read_from = {
        "firmware_supports": firmware.sources.get("technologies"),
        "acceptance_protocol": firmware.sources.get("memory_acceptance"),
        "kernel_supports": kernel.sources.get("technologies"),
        "kernel_unaccepted": kernel.sources.get("unaccepted_memory"),
    }
    traits = [text for fact, text in read_from.items() if text and fact in row.when.named()]
    return Expected(
        outcome=row.outcome,
        because="; ".join([row.because, *traits]),
        source=row.source,
        row=f"{TABLE}, row {table().rows.index(row) + 1}",
        high_bytes=high_bytes,
        refused_by=row.refused_by,
        probe=kernel.probe,
        legacy_entry=entry.startswith("legacy"),
        vcpus=vcpus,
        technology=technology,
    )


def _last_word(cmdline: str, key: str) -> str:
    """Give the value that counts when a parameter is given several times; "" when it is not there."""
    values = [word.removeprefix(key) for word in cmdline.split() if word.startswith(key)]
    return values[-1] if values else ""


_BOOTS = (boot.REACHES_USERSPACE, boot.NO_ALARMS, boot.ALL_CPUS_ONLINE)
_ACCOUNTED = (
    memory.RAM_ACCOUNTED,
    memory.E820_MATCHES_FIRMWARE,
    memory.KERNEL_USES_USABLE,
    exit_acceptance.MEMORY_ATTRIBUTES,
    conservation.PRESENT_IS_USABLE,
    conservation.TOTAL_IS_PRESENT,
    conservation.MEMINFO_IS_VMSTAT,
)
_BY_STUB = frozenset({memory.E820_MATCHES_FIRMWARE, conservation.PRESENT_IS_USABLE})
"""Not asked where a loader wrote e820 by its own rules, and Linux may add its own image to it."""
_NOTHING_LEFT = (memory.NO_UNACCEPTED_ENTRIES, memory.NO_UNACCEPTED_TABLE, memory.NOTHING_UNACCEPTED)
_LEDGER = (
    acceptance.LEDGER_WHOLE,
    acceptance.HANDOFF_AUDIT,
    acceptance.VALIDATED_ONCE,
    acceptance.NO_UNVALIDATED_ACCESS,
    acceptance.NO_TERMINATION,
    conservation.UNVALIDATED_IS_UNACCEPTED,
)
_NO_SMP: frozenset[Outcome] = frozenset({"plain", "hangs"})
"""Outcomes whose further vCPUs have no reserved pages to look at."""
_LAZY = (
    *_BOOTS,
    boot.TECHNOLOGY_ACTIVE,
    *_ACCOUNTED,
    memory.UNACCEPTED_ENTRIES_HIGH,
    memory.UNACCEPTED_TABLE,
    acceptance.FIRMWARE_LEFT_HIGH,
    acceptance.EXIT_GRANTED_AT_ONCE,
    exit_acceptance.ACCEPTS_NOTHING_AT_EXIT,
    *_LEDGER,
)
_OF_OUTCOME: dict[Outcome, tuple[Check, ...]] = {
    "plain": (
        *_BOOTS,
        boot.NO_SEV_LINES,
        *_ACCOUNTED,
        *_NOTHING_LEFT,
        boot.NO_LEDGER,
        exit_acceptance.ACCEPTS_NOTHING_AT_EXIT,
    ),
    "nothing-to-accept": (
        *_BOOTS,
        boot.TECHNOLOGY_ACTIVE,
        *_ACCOUNTED,
        *_NOTHING_LEFT,
        acceptance.EXIT_RETRIED_ONCE,
        exit_acceptance.ACCEPTS_ONCE_AT_EXIT,
        *_LEDGER,
    ),
    "eager": (
        *_BOOTS,
        boot.TECHNOLOGY_ACTIVE,
        *_ACCOUNTED,
        *_NOTHING_LEFT,
        acceptance.ACCEPTED_BEFORE_KERNEL,
        acceptance.EXIT_RETRIED_ONCE,
        acceptance.EXIT_ACCEPTS_EXACTLY,
        handoff.LARGE_ENTRIES,
        handoff.BATCHED,
        exit_acceptance.ACCEPTS_ONCE_AT_EXIT,
        *_LEDGER,
    ),
    "memory-lost": (
        boot.REACHES_USERSPACE,
        boot.ALL_CPUS_ONLINE,
        boot.TECHNOLOGY_ACTIVE,
        memory.HIGH_RAM_LOST,
        memory.RAM_ACCOUNTED,
        *_NOTHING_LEFT,
        acceptance.ACCEPTED_BEFORE_KERNEL,
        acceptance.EXIT_RETRIED_ONCE,
        acceptance.EXIT_ACCEPTS_EXACTLY,
        handoff.LARGE_ENTRIES,
        handoff.BATCHED,
        exit_acceptance.ACCEPTS_ONCE_AT_EXIT,
        *_LEDGER,
    ),
    "lazy": (*_LAZY, memory.SOMETHING_UNACCEPTED),
    "kernel-eager": (*_LAZY, memory.NOTHING_UNACCEPTED),
    "refuses-to-boot": (boot.NO_USERSPACE, boot.NO_SNP_CLAIM),
    "hangs": (boot.HANGS, boot.NO_USERSPACE),
}


def _refuses(what: Expected) -> tuple[Check, ...]:
    """Give the checks of a boot that should end before userspace: for the reason that is known, if one is."""
    if what.refused_by == "loader":
        return (boot.NO_USERSPACE, boot.DIES_IN_LOADER)
    if what.legacy_entry:
        return (boot.NO_USERSPACE,)  # the kernel may run for a while
    checks = _OF_OUTCOME["refuses-to-boot"]
    return (*checks, boot.DIES_ON_UNVALIDATED) if what.refused_by == "kernel" else checks


def checks_for(what: Expected) -> tuple[Check, ...]:
    """Give a cell's checks; ``Check.not_applicable`` names those that a platform cannot answer."""
    checks = _OF_OUTCOME[what.outcome]
    if what.refused_by == "hypervisor":
        return (boot.NEVER_STARTED,)
    if what.probe:
        return PROBE_CHECKS.get(what.outcome, checks)
    if what.outcome == "refuses-to-boot":
        return _refuses(what)
    if what.legacy_entry:
        checks = tuple(check for check in checks if check not in _BY_STUB)
    if what.technology in boot.FEATURES:
        checks = tuple(boot.TECHNOLOGY_ACTIVE if check is boot.NO_SEV_LINES else check for check in checks)
    if what.vcpus > 1 and what.outcome not in _NO_SMP:
        checks = (*checks, *reserved_pages.SMP_CHECKS)
    if what.outcome in {"memory-lost", "hangs"} or not what.high_bytes:
        return checks
    return (*checks, memory.HIGH_RAM_USABLE)
