# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a kernel recipe to a kernel's file, with traits read from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.artifacts.kernel.files import kernel_files
from harness.artifacts.kernel.traits import KernelTraits, parse_config, read_kernel_traits
from harness.errors import HarnessError
from harness.formats import bzimage
from harness.store.file_tree import digest_file
from harness.store.inputs import digest_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.recipes.kernel import KernelRecipe
    from harness.store.inputs import JSONValue


@dataclass(frozen=True)
class Kernel:
    """A bzImage and what its config says, or another program in a kernel's place.

    ``words`` is the command line of a program that is no Linux kernel, None for Linux. ``options`` is the
    config, None where there is none to be had. ``title`` is how messages about it begin.
    """

    name: str
    path: Path
    traits: KernelTraits
    words: str | None = None
    options: Mapping[str, str] | None = field(default=None, repr=False, compare=False)
    title: str = ""

    def require(self, options: Iterable[str], what: str) -> None:
        """Raise HarnessError unless the config has all ``options`` built in; ``what`` needs them.

        Where there is no config, nothing is known to be wrong.
        """
        if self.options is None:
            return
        lacking = [option for option in options if self.options.get(option) != "y"]
        if lacking:
            raise HarnessError(
                f"{self.title}: {what} needs {', '.join(f'{option}=y' for option in lacking)}, "
                "which its config lacks",
                "build the kernel with it, or choose another kernel",
            )


def resolve_kernel(recipe: KernelRecipe, apt: AptRoot, lock: Lock) -> Kernel:
    """Fetch image and config; HarnessError when they cannot be had, are none, or do not belong together."""
    files = kernel_files(recipe, apt, lock)
    try:
        image = files.image if recipe.efi_stub else _without_stub(recipe, files.image, apt)
        traits = read_kernel_traits(image.read_bytes(), files.config)
    except HarnessError as error:
        raise HarnessError(f"{recipe.title}: {files.image}: {error.what}", error.hint) from error
    if files.config is None and recipe.source.file is not None and recipe.source.file.config is True:
        apt.progress(
            f"{recipe.title}: no config is beside the image or in it; its traits are read from the image"
        )
    options = parse_config(files.config) if files.config is not None else None
    return Kernel(recipe.name, image, traits, options=options, title=recipe.title)


def _without_stub(recipe: KernelRecipe, image: Path, apt: AptRoot) -> Path:
    inputs: dict[str, JSONValue] = {
        "image": digest_file(image),
        "writer": digest_code(bzimage),
    }

    def build(directory: Path) -> None:
        (directory / "vmlinuz").write_bytes(bzimage.without_efi_stub(image.read_bytes()))

    store = apt.store
    return store.get("kernel-without-stub", recipe.name, inputs, build, apt.progress).path / "vmlinuz"
