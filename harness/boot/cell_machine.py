# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a cell of the matrix to the machine that boots it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.artifacts.guest.initramfs import CMDLINE, NEEDS
from harness.boot.phases import DONE, DONE_WITH_ACTIONS, Limit, Phase, limits_of
from harness.errors import HarnessError
from harness.machine import backing
from harness.machine.memory_layout import cpu_with_addresses
from harness.machine.spec import CPU, Drive, MachineSpec
from harness.matrix.choices import EMULATIONS, GUESTS, QEMUS
from harness.platforms.qemu_answers import announced_by_tcg, has_sandbox
from harness.platforms.registry import platform_named
from harness.recipes.loader import DIRECT

if TYPE_CHECKING:
    import re
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.matrix.cell import Cell
    from harness.platforms.host import Host


@dataclass(frozen=True)
class OwnParts:
    """A user's own parts of a machine, which no axis of the matrix names.

    ``initrd`` takes the place of the guest's; ``disks`` are added.
    """

    initrd: Path | None = None
    disks: tuple[Drive, ...] = ()


NO_PARTS = OwnParts()
DEBIAN_CMDLINE = "net.ifnames=0 systemd.show_status=0"
"""The initramfs gives eth0 its address; the serial console is for the kernel and for reports."""

ENCRYPTED = ("CONFIG_X86_PAT",)
"""What a kernel needs to share pages early: it maps them write-protected while it changes them."""

NO_SPECULATION = ("amd-no-ssb", "auto-ibrs", "btc-no", "srso-no")
"""What tells a kernel that it can do without retpolines and safe returns: TCG executes nothing that the guest
does not. CPU features of QEMU (AMD64 manual, CPUID functions 80000008 EBX and 80000021 EAX)."""


def done_line(cell: Cell) -> re.Pattern[str]:
    """Return the serial line after which the guest has told everything."""
    return DONE_WITH_ACTIONS if cell.action or cell.whole_system else DONE


def limits(cell: Cell, spec: MachineSpec) -> dict[Phase, Limit]:
    """Return the limits of each phase of the cell's boot."""
    return limits_of(spec, platform_named(cell.platform).deadline_factor, debian=cell.whole_system)


def machine_spec(cell: Cell, ingredients: Ingredients, host: Host, own: OwnParts = NO_PARTS) -> MachineSpec:
    """Resolve the cell's names to files (fetching or building what is new) and choose its platform."""
    _refuse_impossible(cell, ingredients, own)
    actions = ingredients.catalog.actions_of(cell)
    second = any(action.followed_by for action in actions)
    kernel, firmware = ingredients.kernel(cell.kernel), ingredients.firmware(cell.firmware)
    usual = CMDLINE if kernel.words is None else kernel.words
    words = [usual, cell.cmdline, *(action.cmdline for action in actions)]
    initrd: Path | None = None
    disks: tuple[Drive, ...] = ()
    if cell.whole_system:
        words.append(DEBIAN_CMDLINE)
        initrd = ingredients.guest_initrd(cell.kernel)
        disks = (Drive(path=ingredients.guest_disk(cell.guest)),)
    elif kernel.words is None:
        initrd = ingredients.initrd_with(cell.kernel) if second else ingredients.initrd_of(cell.guest)
        if actions:
            words.append(f"harness.actions={','.join(cell.action.split())}")
    if own.initrd is not None:
        if kernel.words is not None:
            raise HarnessError(f"{cell.id}: the EFI probe takes no initrd", "leave --initrd out")
        initrd = own.initrd
    disks += own.disks
    qemu = ingredients.qemu if cell.qemu == QEMUS[0] else ingredients.other_qemu(cell.qemu)
    spec = MachineSpec(
        qemu=qemu,
        firmware=firmware.path,
        memory_mib=cell.memory_mib,
        vcpus=cell.vcpus,
        accel="tcg",
        cpu=cpu_with_addresses(CPU, cell.memory_mib),
        measured_kernel=firmware.traits.kernel_hashes,
        backing=backing.chosen(),
        sandbox=has_sandbox(qemu),
    )
    cmdline = " ".join(word for word in words if word)
    if cell.loader == DIRECT:
        spec = replace(spec, kernel=kernel.path, initrd=initrd, cmdline=cmdline, drives=disks)
    else:
        disk = Drive(path=ingredients.loader_image(cell.loader, cell.kernel, initrd, cmdline), boot_index=0)
        spec = replace(spec, drives=(disk, *disks))
    configured = platform_named(cell.platform).configure(spec, host)
    return _emulated(cell, _without_speculation(configured), ingredients)


def _without_speculation(spec: MachineSpec) -> MachineSpec:
    """Return the machine with a CPU that says what is true of TCG, as far as this QEMU lets it."""
    features = announced_by_tcg(spec.qemu, NO_SPECULATION) if _by_tcg(spec) else ()
    return _with_features(spec, features)


def unasked(cell: Cell, spec: MachineSpec) -> MachineSpec:
    """Return a machine whose QEMU is not there to answer as the project's or Debian's would make it."""
    own = NO_SPECULATION if cell.qemu == QEMUS[0] and _by_tcg(spec) else ()
    return _with_features(replace(spec, sandbox=True), own)


def _by_tcg(spec: MachineSpec) -> bool:
    return spec.accel.partition(",")[0] == "tcg"


def _with_features(spec: MachineSpec, features: tuple[str, ...]) -> MachineSpec:
    return replace(spec, cpu=",".join([spec.cpu, *(f"{feature}=on" for feature in features)]))


def _emulated(cell: Cell, spec: MachineSpec, ingredients: Ingredients) -> MachineSpec:
    """Return the machine on the host that the cell has emulated."""
    there = spec.confidential
    own = ingredients.catalog.emulated_host(cell)
    if there is None or not own:
        return spec
    properties = dict(there.properties) | dict(own)
    return replace(spec, confidential=replace(there, properties=tuple(properties.items())))


def elsewhere(cell: Cell) -> str:
    """Return why a cell's emulated host or QEMU does not go with its platform; "" when both do."""
    platform = platform_named(cell.platform)
    emulated = platform.tier == "emulated"
    if cell.qemu != QEMUS[0] and emulated:
        return f"{cell.platform} is the project's own QEMU, so no {cell.qemu}"
    if cell.emulation == EMULATIONS[0] or (emulated and platform.acceptance != "none"):
        return ""
    if emulated:
        return f"{cell.platform} is the same on every emulated host, so no {cell.emulation}"
    return f"{cell.platform} emulates nothing, so no {cell.emulation}"


def _refuse_impossible(cell: Cell, ingredients: Ingredients, own: OwnParts) -> None:
    """Raise HarnessError for a guest, a kernel or a loader that cannot do what the cell asks of it."""
    if reason := elsewhere(cell):
        raise HarnessError(f"{cell.id}: {reason}", "leave that out")
    kernel = ingredients.kernel(cell.kernel)
    actions = ingredients.catalog.actions_of(cell)
    usual = cell.guest == GUESTS[0]
    hint = "name a Debian as its guest, such as debian-trixie" if usual else f"name {GUESTS[0]} as its guest"
    if not usual and kernel.words is not None:
        raise HarnessError(f"{cell.id}: the EFI probe starts no {cell.guest}", hint)
    if kernel.words is not None and ingredients.loader_recipe(cell.loader).linux_only:
        raise HarnessError(
            f"{cell.id}: {cell.loader} starts Linux kernels alone, and no EFI probe",
            "name a loader that starts any EFI program, such as grub-2.12-chainloader",
        )
    if actions and kernel.words is not None:
        raise HarnessError(f"{cell.id}: the EFI probe does no actions", "leave the action out")
    if kernel.words is None:
        kernel.require(() if own.initrd is not None else NEEDS, f"the guest {cell.guest}")
        if platform_named(cell.platform).tier != "none":
            kernel.require(ENCRYPTED, "a guest whose memory is encrypted")
    for action in actions:
        if (action.whole_system and not cell.whole_system) or (action.followed_by and not usual):
            raise HarnessError(f"{cell.id}: the guest {cell.guest} cannot do {action.name}", hint)
        kernel.require(action.needs, f"the action {action.name}")
