# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A boot's ingredients before they are there: each has the path that it will get, or a word in its place.

A path is known where it follows from recipes and locks alone. The paths of the others follow from what is in
files that are not there yet.
"""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.debian_qemu import SUITES
from harness.artifacts.firmware.edk2_build import IMAGE
from harness.artifacts.firmware.resolve import Firmware
from harness.artifacts.firmware.traits import FirmwareTraits
from harness.artifacts.guest.debian_disk import DISK
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.kernel.resolve import Kernel
from harness.artifacts.kernel.traits import KernelTraits
from harness.artifacts.named import INITRAMFS, QEMU
from harness.artifacts.probe import IMAGE as PROBE_IMAGE
from harness.artifacts.probe import probe_traits
from harness.artifacts.qemu import BINARY
from harness.errors import HostError
from harness.recipes.probe import ProbeRecipe
from harness.store.asking import Asking, NotMadeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KERNEL, INITRD, LOADER_DISK = "<kernel>", "<initrd>", "<disk>"
_JOINS = frozenset({"firmware-traits", "initramfs", "kernel-modules", "kernel-without-stub", "loader-image"})
"""Kinds of entries that are put together from files at hand, as each boot does."""
_INSTALLED = Path("/usr/bin", BINARY)
_NO_TRAITS = KernelTraits("", 0, (), unaccepted_memory=False, efi_stub=True, handover=True, sources={})


class Foretold(Ingredients):
    """The same recipes as other ingredients, of which nothing is fetched or built.

    What machines get from them are paths and command lines; traits that only files could tell are made up.
    """

    def __init__(self, of: Ingredients) -> None:
        super().__init__(of.project, of.apt.progress, Asking(of.apt.store.root, _JOINS))
        of.give_choices(self)
        self._missing: dict[str, None] = {}
        self._words: dict[str, None] = {}
        self._unread: dict[str, None] = {}

    @property
    def notes(self) -> Iterator[str]:
        """Yield what to tell whoever gets a command: what is not there, and what the words stand for."""
        if self._missing:
            yield f"not there yet, and made by `harness build {' '.join(self._missing)}` or a boot"
        if self._words:
            stand = "stands" if len(self._words) == 1 else "stand"
            yield f"{' and '.join(self._words)} {stand} for what has no path before that"
        for name in self._unread:
            yield f"kernel-hashes is left out: only the image of {name} tells whether it wants it"

    @cached_property
    def qemu(self) -> Path:
        """QEMU, built or not."""
        try:
            return super().qemu
        except NotMadeError as error:
            self._missing[QEMU] = None
            return error.path / BINARY

    def other_qemu(self, name: str) -> Path:
        """Return the QEMU of a name on the axis; that of a host is where Debian has it."""
        try:
            return super().other_qemu(name)
        except NotMadeError as error:
            return error.path / BINARY
        except HostError:
            if name in SUITES:
                raise
            return _INSTALLED

    def firmware(self, name: str) -> Firmware:
        """Return firmware; where there is no image, the traits are those that the recipe expects."""
        try:
            return super().firmware(name)
        except NotMadeError as error:
            self._missing[name] = None
            recipe = self.firmware_recipe(name)
            prebuilt, expected = recipe.source.prebuilt, dict(recipe.expect)
            if "kernel_hashes" not in expected:
                self._unread[name] = None
            hashes = expected.get("kernel_hashes") is True
            traits = FirmwareTraits((), False, False, hashes, False, (), {})
            return Firmware(name, error.path / (IMAGE if prebuilt is None else prebuilt.path), traits)

    def kernel(self, name: str) -> Kernel:
        """Return a kernel or probe; of a kernel that is not there nothing is known to be wrong."""
        try:
            return super().kernel(name)
        except NotMadeError as error:
            self._missing[name] = None
            recipe = self.kernel_recipe(name)
            if isinstance(recipe, ProbeRecipe):
                options = recipe.options
                return Kernel(name, error.path / PROBE_IMAGE, probe_traits(options), words=options)
            return Kernel(name, self._unknown(KERNEL), _NO_TRAITS)

    def guest_disk(self, guest: str) -> Path:
        """Return a Debian guest's disk."""
        try:
            return super().guest_disk(guest)
        except NotMadeError as error:
            self._missing[guest] = None
            return error.path / DISK

    def initrd_of(self, guest: str) -> Path:
        """Return the initramfs of a guest without a disk."""
        return self._joined(INITRD, INITRAMFS, partial(super().initrd_of, guest))

    def initrd_with(self, kernel: str) -> Path:
        """Return the initramfs guest with a kernel inside."""
        return self._joined(INITRD, INITRAMFS, partial(super().initrd_with, kernel))

    def guest_initrd(self, kernel: str) -> Path:
        """Return the initramfs that starts a Debian guest."""
        return self._joined(INITRD, INITRAMFS, partial(super().guest_initrd, kernel))

    def loader_image(self, loader: str, kernel: str, initrd: Path | None, cmdline: str) -> Path:
        """Return the disk on which a loader starts a kernel."""
        return self._joined(
            LOADER_DISK, loader, partial(super().loader_image, loader, kernel, initrd, cmdline)
        )

    def _joined(self, word: str, name: str, join: Callable[[], Path]) -> Path:
        """Return a file that is put together from others, or the word for it where it lacks one of them."""
        try:
            return join()
        except NotMadeError:
            self._missing[name] = None
        except FileNotFoundError as error:
            if Path(error.filename).name not in self._words:
                raise
        return self._unknown(word)

    def _unknown(self, word: str) -> Path:
        """Return a path within the cache, as machines have absolute ones, with a word for the rest."""
        self._words[word] = None
        return self.apt.store.root / word
