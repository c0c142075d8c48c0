# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From names to files: everything a boot needs, fetched or built on first use, with traits read from it."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import choose_firmware
from harness.artifacts.firmware.resolve import Firmware, explain, resolve_firmware
from harness.artifacts.guest.debian_disk import debian_disk
from harness.artifacts.guest.debian_initramfs import debian_initrd, module_names
from harness.artifacts.guest.initramfs import (
    BUSYBOX,
    LARGE,
    action_needs,
    initramfs,
    initramfs_large,
    initramfs_with_kernel,
)
from harness.artifacts.kernel.choice import choose_kernel
from harness.artifacts.kernel.modules import modules
from harness.artifacts.kernel.resolve import Kernel, resolve_kernel
from harness.artifacts.loader.files import Payload
from harness.artifacts.loader.resolve import Loader, loader_image, resolve_loader
from harness.artifacts.probe import resolve_probe
from harness.artifacts.qemu import BINARY, KIND, build_qemu, qemu_inputs
from harness.debian.archive import AptRoot
from harness.debian.lock_file import Lock
from harness.debian.suite import FetchError
from harness.errors import HarnessError
from harness.paths import PROJECT
from harness.progress import Progress, say
from harness.recipes.catalog import load_catalog
from harness.recipes.probe import ProbeRecipe
from harness.recipes.qemu import load_qemu

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.debian.index import PackageQuery
    from harness.recipes.catalog import AnyKernel
    from harness.recipes.firmware import FirmwareRecipe

LOCK_FILE = "debian.lock.yaml"


class Ingredients:
    """The project's ingredients by name. Every method raises HarnessError with what to do about it."""

    def __init__(self, project: Path = PROJECT, progress: Progress = say) -> None:
        self._project = project
        self._apt = AptRoot(progress=progress)
        self._firmware: dict[str, Firmware] = {}
        self._chosen: dict[str, FirmwareRecipe] = {}
        self._kernels: dict[str, Kernel] = {}
        self._chosen_kernels: dict[str, AnyKernel] = {}
        self._loaders: dict[str, Loader] = {}
        self.catalog = load_catalog(project)
        self.lock_file = project / LOCK_FILE

    @cached_property
    def lock(self) -> Lock:
        return Lock.load(self.lock_file)

    @property
    def apt(self) -> AptRoot:
        return self._apt

    def queries(self) -> tuple[PackageQuery, ...]:
        """List every package that a recipe of the project asks for."""
        return (*self.catalog.queries(), *load_qemu(self._project).queries(), BUSYBOX)

    @cached_property
    def qemu(self) -> Path:
        """QEMU with SEV-SNP emulation; minutes of building when it is new.

        ``HARNESS_QEMU`` names a developer's own binary to use in its place.
        """
        if own := os.environ.get("HARNESS_QEMU"):
            path = Path(own).expanduser().absolute()
            if not os.access(path, os.X_OK):
                raise HarnessError(f"HARNESS_QEMU={own}: no such program", "name a qemu-system-x86_64")
            self._apt.progress(f"QEMU: {path} (HARNESS_QEMU)")
            return path
        recipe = load_qemu(self._project)
        return build_qemu(recipe, self._apt, self.lock, self._project).path / BINARY

    def why_qemu(self) -> str:
        """Say whether QEMU would be built anew, and which of its inputs changed."""
        recipe = load_qemu(self._project)
        inputs = qemu_inputs(recipe, self.lock, self._project)
        return self._apt.store.explain(KIND, recipe.package, inputs)

    def choose_firmware(self, text: str) -> str:
        """Return the name, for ``firmware``, of a recipe or of a developer's ``file:PATH``, ``tree:PATH``."""
        return self.add_firmware(choose_firmware(text, self.catalog))

    def add_firmware(self, recipe: FirmwareRecipe) -> str:
        """Return the name, for ``firmware``, of a recipe that is not in the catalog."""
        self._chosen[recipe.name] = recipe
        return recipe.name

    def firmware_recipe(self, name: str) -> FirmwareRecipe:
        return self._chosen.get(name) or self.catalog.firmware_recipe(name)

    def why_firmware(self, name: str) -> str:
        """Say whether firmware would be built anew, and which of its inputs changed."""
        return explain(self.firmware_recipe(name), self._apt, self.lock)

    def firmware(self, name: str) -> Firmware:
        if name not in self._firmware:
            recipe = self.firmware_recipe(name)
            try:
                self._firmware[name] = resolve_firmware(recipe, self._apt, self.lock)
            except FetchError as error:
                sharing = [
                    other for other, it in self.catalog.firmware.items() if it.queries() == recipe.queries()
                ]
                raise HarnessError(
                    f"{error.what}; needed by firmware {', '.join(sharing)}", error.hint
                ) from error
        return self._firmware[name]

    def choose_kernel(self, text: str) -> str:
        """Return the name, for ``kernel``, of a recipe or of a developer's ``file:PATH``, ``tree:PATH``."""
        recipe = choose_kernel(text, self.catalog)
        self._chosen_kernels[recipe.name] = recipe
        return recipe.name

    def kernel_recipe(self, name: str) -> AnyKernel:
        return self._chosen_kernels.get(name) or self.catalog.kernel_recipe(name)

    def kernel(self, name: str) -> Kernel:
        if name not in self._kernels:
            recipe = self.kernel_recipe(name)
            self._kernels[name] = (
                resolve_probe(recipe, self._project, self._apt)
                if isinstance(recipe, ProbeRecipe)
                else resolve_kernel(recipe, self._apt, self.lock)
            )
        return self._kernels[name]

    def action_needs(self, action: str) -> tuple[str, ...]:
        """List the options that a kernel must have built in for an action of the initramfs guest."""
        return action_needs(self._project, action)

    def modules(self, kernel: str, names: Sequence[str]) -> tuple[Path, ...]:
        """Return a kernel's modules and what they need, unpacked, in the order in which they load."""
        recipe = self.kernel_recipe(kernel)
        if isinstance(recipe, ProbeRecipe):
            raise HarnessError(f"kernel {kernel} is the EFI probe: it has no modules")
        return modules(recipe, names, self._apt, self.lock)

    def loader(self, name: str) -> Loader:
        if name not in self._loaders:
            self._loaders[name] = resolve_loader(self.catalog.loader_recipe(name), self._apt, self.lock)
        return self._loaders[name]

    def loader_image(self, loader: str, kernel: str, initrd: Path | None, cmdline: str) -> Path:
        """Return the disk on which a loader starts a kernel; no boot may write to it."""
        chosen = self.kernel(kernel)
        payload = Payload(chosen.path, initrd, cmdline, chosen.traits.version)
        return loader_image(self.loader(loader), payload, self._apt)

    @cached_property
    def initrd(self) -> Path:
        """The initramfs guest: static busybox, our probe and its actions."""
        return initramfs(self._project, self._apt, self.lock)

    def initrd_of(self, guest: str) -> Path:
        """Return the initramfs of a guest without a disk."""
        return initramfs_large(self.initrd, self._apt) if guest == LARGE else self.initrd

    def initrd_with(self, kernel: str) -> Path:
        """Return the initramfs guest with a kernel inside, for guests that boot a second one."""
        return initramfs_with_kernel(self.initrd, self.kernel(kernel).path, self._apt)

    def guest_disk(self, guest: str) -> Path:
        """Return a Debian guest's disk, which no boot may write to; a minute or two when it is new."""
        return debian_disk(self.catalog.guest_recipe(guest), self._project, self._apt)

    def guest_initrd(self, kernel: str) -> Path:
        """Return the initramfs that starts a Debian guest on a kernel: the kernel's modules and our probe."""
        modules = self.modules(kernel, module_names(self.kernel(kernel).options))
        return debian_initrd(self.initrd, modules, self._project, self._apt)
