# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From names to files: everything a boot needs, fetched or built on first use, with traits read from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.apt import AptRoot
from harness.artifacts.filelock import Progress, say
from harness.artifacts.initramfs import build_initramfs
from harness.artifacts.lock import Lock, PackageQuery
from harness.artifacts.qemu import BINARY, KIND, build_qemu, load_qemu, qemu_inputs
from harness.artifacts.recipes import load_catalog
from harness.artifacts.traits import FirmwareTraits, KernelTraits, read_firmware_traits, read_kernel_traits
from harness.artifacts.tree import digest_file
from harness.errors import HarnessError
from harness.paths import PROJECT

if TYPE_CHECKING:
    from harness.artifacts.inputs import JSONValue

LOCK_FILE = "debian.lock.yaml"
BUSYBOX = PackageQuery("busybox-static", "trixie")
BUSYBOX_PATH = "usr/bin/busybox"


@dataclass(frozen=True)
class Firmware:
    """A firmware image for ``-bios``."""

    name: str
    path: Path
    traits: FirmwareTraits


@dataclass(frozen=True)
class Kernel:
    """A packaged bzImage and what its package's config says."""

    name: str
    path: Path
    traits: KernelTraits


class Ingredients:
    """The project's ingredients by name. Every method raises HarnessError with what to do about it."""

    def __init__(self, project: Path = PROJECT, progress: Progress = say) -> None:
        self._project = project
        self._apt = AptRoot(progress=progress)
        self._firmware: dict[str, Firmware] = {}
        self._kernels: dict[str, Kernel] = {}
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

    def firmware(self, name: str) -> Firmware:
        if name not in self._firmware:
            prebuilt = self.catalog.firmware_recipe(name).source.prebuilt
            package = self.lock.require(prebuilt.query())
            path = self._apt.extract(package, [prebuilt.path]).path / prebuilt.path
            self._firmware[name] = Firmware(name, path, read_firmware_traits(path.read_bytes()))
        return self._firmware[name]

    def kernel(self, name: str) -> Kernel:
        if name not in self._kernels:
            recipe = self.catalog.kernel_recipe(name)
            image_package = self.lock.require(recipe.query())
            config_package = self.lock.require(recipe.config_query())
            if image_package == config_package:
                tree = self._apt.extract(image_package, ["boot/vmlinuz-*", "boot/config-*"]).path
                image, config = _only(tree, "boot/vmlinuz-*"), _only(tree, "boot/config-*")
            else:
                modules = "usr/lib/modules/*"
                image_tree = self._apt.extract(image_package, [f"{modules}/vmlinuz"]).path
                config_tree = self._apt.extract(config_package, [f"{modules}/config"]).path
                image = _only(image_tree, f"{modules}/vmlinuz")
                config = _only(config_tree, f"{modules}/config")
                if image.parent.name != config.parent.name:
                    raise HarnessError(
                        f"kernel {name}: the image is of {image.parent.name}, "
                        f"the config of {config.parent.name}",
                        "run `harness update` to lock packages that belong together",
                    )
            traits = read_kernel_traits(image.read_bytes(), config.read_text(encoding="utf-8"))
            self._kernels[name] = Kernel(name, image, traits)
        return self._kernels[name]

    @cached_property
    def initrd(self) -> Path:
        """The initramfs guest: static busybox and our probe."""
        package = self.lock.require(BUSYBOX)
        overlay = self._project / "guest-images/initramfs"
        files = sorted(path for path in overlay.rglob("*") if path.is_file())
        inputs: dict[str, JSONValue] = {
            "busybox": f"{package.version} {package.sha256}",
            "overlay": {str(path.relative_to(overlay)): digest_file(path) for path in files},
            "writer": digest_file(PROJECT / "harness/artifacts/initramfs.py"),
        }

        def build(directory: Path) -> None:
            busybox = _only(self._apt.extract(package, [BUSYBOX_PATH]).path, BUSYBOX_PATH)
            build_initramfs(busybox, overlay, directory / "initramfs.cpio")

        store = self._apt.store
        return store.get("initramfs", "probe", inputs, build, self._apt.progress).path / "initramfs.cpio"


def _only(tree: Path, pattern: str) -> Path:
    found = sorted(tree.glob(pattern))
    if len(found) != 1:
        raise HarnessError(
            f"{tree}: {len(found)} files match {pattern}, expected one", "the package's layout is not known"
        )
    return found[0]
