# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How a guest is made confidential here, or not: the three platforms.

``snp`` is an SEV-SNP guest on AMD hardware under KVM (not yet seen on hardware), ``snp-emulated`` the same
guest under patched TCG, ``plain`` a guest that is not confidential.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from harness.errors import HarnessError
from harness.machine.spec import SnpGuest

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.machine.spec import MachineSpec
    from harness.platforms.host import Host

Platform = Literal["snp", "snp-emulated", "plain"]
PLATFORMS: tuple[Platform, ...] = get_args(Platform)
CHOICES = ("auto", *PLATFORMS)

LEDGER = "ledger.jsonl"

_GIB_MIB = 1024
_DEFAULT_BITS = 40
"""Physical address bits of QEMU's CPU models that do not say: 1 TiB."""
_AROUND_MIB = 34 * _GIB_MIB
"""Below the highest address of q35 that is not memory: 2 GiB below 4 GiB, and the 64-bit PCI hole."""
_HT_START_MIB, _HT_END_MIB = 1012 * _GIB_MIB, 1024 * _GIB_MIB
"""AMD's HyperTransport range; memory that would reach into it starts above it (QEMU, pc_memory_init())."""


def resolver(choice: str, host: Host) -> Callable[[str], Platform]:
    """Give the function that says what a platform asked for in a scenario is on this host.

    ``choice`` is the user's: with ``auto``, ``snp`` is hardware where the host has it and emulated elsewhere.
    ``snp`` and ``snp-emulated`` force one of the two for every SNP cell, ``plain`` leaves them as with auto
    (``wanted`` then deselects them). Raise ``HarnessError`` for ``snp`` on a host without SEV-SNP.
    """
    if choice == "snp" and not host.sev_snp:
        raise HarnessError(
            f"--platform snp: this host cannot run SEV-SNP guests ({'; '.join(host.why)})",
            "use --platform auto or snp-emulated here",
        )

    def resolve(asked: str) -> Platform:
        match asked:
            case "plain":
                return "plain"
            case "snp-emulated":
                return "snp-emulated"
            case _ if choice == "snp-emulated" or not host.sev_snp:
                return "snp-emulated"
            case _:
                return "snp"

    return resolve


def wanted(choice: str, platform: str) -> bool:
    """Say whether cells of ``platform`` run under the user's choice."""
    return choice in {"auto", platform}


def accelerator(platform: str, host: Host) -> str:
    """Give QEMU's ``-accel``; plain guests run as the host's SNP guests do, so that the two compare."""
    if platform == "snp":
        return "kvm"
    return "kvm" if platform == "plain" and host.sev_snp else "tcg"


def configure(spec: MachineSpec, platform: str, host: Host) -> MachineSpec:
    """Give ``spec`` the accelerator and guest object of ``platform``, and addresses for all of its memory."""
    accel = accelerator(platform, host)
    match platform:
        case "plain":
            guest = None
        case "snp":
            guest = SnpGuest(type="sev-snp-guest")
        case "snp-emulated":
            guest = SnpGuest(type="sev-snp-emulated", properties=(("ledger", LEDGER),))
        case _:
            raise ValueError(platform)
    return replace(spec, accel=accel, guest=guest, cpu=cpu_with_addresses(spec.cpu, spec.memory_mib))


def cpu_with_addresses(cpu: str, memory_mib: int) -> str:
    """Give ``-cpu`` the physical address bits that the memory needs, when CPU models have fewer."""
    top = memory_mib + _AROUND_MIB
    if top > _HT_START_MIB:
        top = _HT_END_MIB + memory_mib + _AROUND_MIB - 4 * _GIB_MIB
    bits = (top * 2**20 - 1).bit_length()
    return cpu if bits <= _DEFAULT_BITS or "phys-bits" in cpu else f"{cpu},phys-bits={bits}"
