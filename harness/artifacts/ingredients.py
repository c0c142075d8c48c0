# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From names to files: everything a boot needs, fetched or built on first use, with traits read from it.

What makes kernels, loaders and guests is imported when one is wanted: a request for firmware is short.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import choose_firmware
from harness.artifacts.firmware.resolve import Firmware, explain, resolve_firmware
from harness.debian.archive import AptRoot
from harness.debian.lock_file import LOCK_NAME, Lock
from harness.debian.suite import FetchError
from harness.errors import HarnessError, HostError
from harness.matrix.choices import OWN_QEMU
from harness.progress import Progress, say
from harness.recipes.catalog import load_catalog
from harness.recipes.probe import ProbeRecipe
from harness.recipes.project import find_project
from harness.recipes.qemu import load_qemu
from harness.store.carried import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.artifacts.kernel.resolve import Kernel
    from harness.artifacts.loader.resolve import Loader
    from harness.debian.index import PackageQuery
    from harness.paths import Project
    from harness.recipes.catalog import AnyKernel
    from harness.recipes.firmware import FirmwareRecipe
    from harness.recipes.guest import GuestRecipe
    from harness.recipes.loader import LoaderRecipe
    from harness.store.entries import Store


@dataclass(frozen=True)
class Resolved:
    """The ingredients that are at hand, by name."""

    firmware: dict[str, Firmware] = field(default_factory=dict)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    loaders: dict[str, Loader] = field(default_factory=dict)


class Ingredients:
    """A project's ingredients by name. Every method raises HarnessError with what to do about it.

    Without ``project`` it is the one in which the working directory is.
    """

    def __init__(
        self,
        project: Project | None = None,
        progress: Progress = say,
        store: Store | None = None,
        resolved: Resolved | None = None,
    ) -> None:
        self.project = find_project(Path.cwd()) if project is None else project
        self._apt = AptRoot(progress=progress, store=store)
        self._resolved = Resolved() if resolved is None else resolved
        self._chosen: dict[str, FirmwareRecipe] = {}
        self._chosen_kernels: dict[str, AnyKernel] = {}
        self._chosen_loaders: dict[str, LoaderRecipe] = {}
        self._own_qemu = ""
        self.catalog = load_catalog(self.project)

    def with_store(self, store: Store) -> Ingredients:
        """Return the same recipes, those that the user has chosen among them, over another store.

        What either has resolved is resolved for both: a store says where things are made, not what they are.
        """
        other = Ingredients(self.project, self._apt.progress, store, self._resolved)
        self.give_choices(other)
        return other

    def for_thread(self, progress: Progress) -> Ingredients:
        """Return ingredients of the same recipes for another thread; the two share nothing that changes."""
        other = Ingredients(self.project, progress, self._apt.store)
        self.give_choices(other)
        return other

    def give_choices(self, other: Ingredients) -> None:
        """Have other ingredients of the same project know what the user has chosen among these."""
        other._chosen |= self._chosen
        other._chosen_kernels |= self._chosen_kernels
        other._chosen_loaders |= self._chosen_loaders
        other._own_qemu = self._own_qemu

    @cached_property
    def _locks(self) -> Mapping[Path, Lock]:
        """The lock of each root; what the own one lacks is looked up in those behind it."""
        locks: dict[Path, Lock] = {}
        behind: Lock | None = None
        for root in reversed(self.project.roots):
            lock = Lock.load(root / LOCK_NAME)
            locks[root] = behind = lock if behind is None else lock.before(behind)
        return locks

    def lock_of(self, axis: str, name: str) -> Lock:
        """Return the lock that says which packages a recipe means: that of the root that has the recipe."""
        return self._locks[self.catalog.homes.get((axis, name), self.project.roots[0])]

    @property
    def lock(self) -> Lock:
        """The project's own lock, and what it lacks from those behind it."""
        return self._locks[self.project.roots[0]]

    @property
    def base_lock(self) -> Lock:
        """The lock of what every project shares: QEMU and the initramfs guest."""
        return self._locks[self.project.roots[-1]]

    @property
    def lock_file(self) -> Path:
        """The lock file that may be renewed; HarnessError when the project has none of its own."""
        if self.project.own is None:
            raise HarnessError(
                "no lock file can be renewed here: what is shipped stays as it was installed",
                "go to a project of your own; `harness init DIR` makes one",
            )
        return self.project.own / LOCK_NAME

    @property
    def apt(self) -> AptRoot:
        """Debian's archive, read through apt."""
        return self._apt

    def queries(self) -> tuple[PackageQuery, ...]:
        """Return the packages that the project's own lock file has to hold."""
        from harness.artifacts.guest.initramfs import BUSYBOX

        own = self.lock_file.parent
        shared = (*load_qemu(self.project).queries(), BUSYBOX) if own == self.project.roots[-1] else ()
        return (*self.catalog.queries(own), *shared)

    def own_guests(self) -> tuple[GuestRecipe, ...]:
        """Return the Debian guests and Debian's QEMUs whose packages are the project's own to renew."""
        from harness.artifacts.debian_qemu import package_sets

        own = self.lock_file.parent
        qemus = package_sets(self.project) if own == self.project.roots[-1] else ()
        guests = (it for name, it in self.catalog.guests.items() if self.catalog.homes["guest", name] == own)
        return (*guests, *qemus)

    @cached_property
    def qemu(self) -> Path:
        """QEMU with SEV-SNP emulation; minutes of building when it is new.

        `choose_qemu` and ``HARNESS_QEMU`` name a developer's own binary to use in its place.
        """
        from harness.artifacts.qemu import BINARY, build_qemu, own_program

        if own := self._own_qemu or os.environ.get("HARNESS_QEMU"):
            by = "--qemu" if self._own_qemu else "HARNESS_QEMU"
            path = own_program(own, f"{by}={own}")
            self._apt.progress(f"QEMU: {path} ({by})")
            return path
        recipe = load_qemu(self.project)
        made = build_qemu(recipe, self._apt, self.base_lock, self.project)
        if not made.path.is_relative_to(self._apt.store.root):
            self._apt.progress(f"QEMU comes built, in {DISTRIBUTION}")
        return made.path / BINARY

    def other_qemu(self, name: str) -> Path:
        """Return a QEMU of the axis ``qemu`` other than the built one; HostError where none is installed."""
        from harness.artifacts.debian_qemu import SUITES, debian_qemu
        from harness.artifacts.qemu import BINARY, own_program

        if name.startswith(OWN_QEMU):
            return own_program(name.removeprefix(OWN_QEMU), name)
        if name in SUITES:
            return debian_qemu(name, self._apt, self.project)
        found = shutil.which(BINARY)
        if found is None:
            raise HostError(f"{BINARY} is not installed on this host", "apt-get install qemu-system-x86")
        return Path(found)

    def why_qemu(self) -> str:
        """Return whether QEMU would be built anew, and which of its inputs changed."""
        from harness.artifacts.qemu import KIND, MADE_WITH, qemu_inputs

        recipe = load_qemu(self.project)
        inputs = qemu_inputs(recipe, self.base_lock, self.project)
        return self._apt.store.explain(KIND, recipe.package, inputs, MADE_WITH)

    def choose_qemu(self, path: str) -> None:
        """Use a developer's own binary as ``qemu``."""
        self._own_qemu = path

    def choose_firmware(self, text: str) -> str:
        """Return the name, for ``firmware``, of a recipe or of a developer's ``file:PATH``, ``tree:PATH``."""
        return self.add_firmware(choose_firmware(text, self.catalog))

    def add_firmware(self, recipe: FirmwareRecipe) -> str:
        """Return the name, for ``firmware``, of a recipe that is not in the catalog."""
        self._chosen[recipe.name] = recipe
        return recipe.name

    def firmware_recipe(self, name: str) -> FirmwareRecipe:
        """Return a firmware recipe, chosen or of the catalog; HarnessError for an unknown name."""
        return self._chosen.get(name) or self.catalog.firmware_recipe(name)

    def why_firmware(self, name: str) -> str:
        """Return whether firmware would be built anew, and which of its inputs changed."""
        return explain(self.firmware_recipe(name), self._apt, self.lock_of("firmware", name))

    def firmware(self, name: str) -> Firmware:
        """Return firmware with its traits, fetched or built when it is new; HostError without network."""
        if name not in self._resolved.firmware:
            recipe = self.firmware_recipe(name)
            try:
                self._resolved.firmware[name] = resolve_firmware(
                    recipe, self._apt, self.lock_of("firmware", name)
                )
            except FetchError as error:
                sharing = [
                    other for other, it in self.catalog.firmware.items() if it.queries() == recipe.queries()
                ]
                raise HostError(
                    f"{error.what}; needed by firmware {', '.join(sharing)}", error.hint
                ) from error
        return self._resolved.firmware[name]

    def choose_kernel(self, text: str) -> str:
        """Return the name, for ``kernel``, of a recipe or of a developer's ``file:PATH``, ``tree:PATH``.

        A file is an image, or a .deb or .rpm package with one.
        """
        from harness.artifacts.kernel.choice import choose_kernel
        from harness.artifacts.kernel.package import packaged_kernel

        return self.add_kernel(packaged_kernel(text, self._apt) or choose_kernel(text, self.catalog))

    def add_kernel(self, recipe: AnyKernel) -> str:
        """Return the name, for ``kernel``, of a recipe that is not in the catalog."""
        self._chosen_kernels[recipe.name] = recipe
        return recipe.name

    def kernel_recipe(self, name: str) -> AnyKernel:
        """Return the recipe of a kernel or probe; HarnessError for an unknown name."""
        return self._chosen_kernels.get(name) or self.catalog.kernel_recipe(name)

    def kernel(self, name: str) -> Kernel:
        """Return a kernel or probe with its traits, fetched or built when it is new."""
        from harness.artifacts.kernel.resolve import resolve_kernel
        from harness.artifacts.probe import resolve_probe

        if name not in self._resolved.kernels:
            recipe = self.kernel_recipe(name)
            self._resolved.kernels[name] = (
                resolve_probe(recipe, self.project, self._apt)
                if isinstance(recipe, ProbeRecipe)
                else resolve_kernel(recipe, self._apt, self.lock_of("kernel", name))
            )
        return self._resolved.kernels[name]

    def modules(self, kernel: str, names: Sequence[str]) -> tuple[Path, ...]:
        """Return a kernel's modules and what they need, unpacked, in the order in which they load."""
        from harness.artifacts.kernel.modules import modules

        recipe = self.kernel_recipe(kernel)
        if isinstance(recipe, ProbeRecipe):
            raise HarnessError(f"kernel {kernel} is the EFI probe: it has no modules")
        return modules(recipe, names, self._apt, self.lock_of("kernel", kernel))

    def choose_loader(self, text: str) -> str:
        """Return the name, for ``loader``, of a recipe or of a developer's ``file:PATH``."""
        from harness.artifacts.loader.choice import choose_loader

        recipe = choose_loader(text, self.catalog)
        self._chosen_loaders[recipe.name] = recipe
        return recipe.name

    def loader_recipe(self, name: str) -> LoaderRecipe:
        """Return a loader's recipe, chosen or of the catalog; HarnessError for an unknown name."""
        return self._chosen_loaders.get(name) or self.catalog.loader_recipe(name)

    def loader(self, name: str) -> Loader:
        """Return a loader with its traits, fetched when it is new."""
        from harness.artifacts.loader.resolve import resolve_loader

        if name not in self._resolved.loaders:
            recipe = self.loader_recipe(name)
            self._resolved.loaders[name] = resolve_loader(recipe, self._apt, self.lock_of("loader", name))
        return self._resolved.loaders[name]

    def loader_image(self, loader: str, kernel: str, initrd: Path | None, cmdline: str) -> Path:
        """Return the disk on which a loader starts a kernel; no boot may write to it."""
        from harness.artifacts.loader.files import Payload
        from harness.artifacts.loader.resolve import loader_image

        chosen = self.kernel(kernel)
        payload = Payload(chosen.path, initrd, cmdline, chosen.traits.version)
        return loader_image(self.loader(loader), payload, self._apt)

    @cached_property
    def initrd(self) -> Path:
        """The initramfs guest: static busybox, our reporter and its actions."""
        from harness.artifacts.guest.initramfs import initramfs

        return initramfs(self.project, self._apt, self.base_lock)

    def initrd_of(self, guest: str) -> Path:
        """Return the initramfs of a guest without a disk."""
        from harness.artifacts.guest.initramfs import LARGE, initramfs_large

        return initramfs_large(self.initrd, self._apt) if guest == LARGE else self.initrd

    def initrd_with(self, kernel: str) -> Path:
        """Return the initramfs guest with a kernel inside, for guests that boot a second one."""
        from harness.artifacts.guest.initramfs import initramfs_with_kernel

        return initramfs_with_kernel(self.initrd, self.kernel(kernel).path, self._apt)

    def guest_disk(self, guest: str) -> Path:
        """Return a Debian guest's disk, which no boot may write to; a minute or two when it is new."""
        from harness.artifacts.guest.debian_disk import debian_disk

        return debian_disk(self.catalog.guest_recipe(guest), self.project, self._apt)

    def guest_initrd(self, kernel: str) -> Path:
        """Return the initramfs that starts a Debian guest: the kernel's modules and our reporter."""
        from harness.artifacts.guest.debian_initramfs import debian_initrd, module_names

        modules = self.modules(kernel, module_names(self.kernel(kernel).options))
        return debian_initrd(self.initrd, modules, self.project, self._apt)
