# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a kernel recipe to a kernel's file, with traits read from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts import stubless
from harness.artifacts.kernel_traits import KernelTraits, read_kernel_traits
from harness.artifacts.tree import digest_file, only
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.artifacts.apt import AptRoot
    from harness.artifacts.inputs import JSONValue
    from harness.artifacts.kernel_recipes import KernelRecipe
    from harness.artifacts.lock import Lock


@dataclass(frozen=True)
class Kernel:
    """A packaged bzImage and what its package's config says, or another program in a kernel's place.

    ``words`` is the command line of a program that is no Linux kernel, None for Linux.
    """

    name: str
    path: Path
    traits: KernelTraits
    words: str | None = None


def resolve_kernel(recipe: KernelRecipe, apt: AptRoot, lock: Lock) -> Kernel:
    """Fetch image and config; HarnessError when they cannot be had or do not belong together."""
    image, config = _files(recipe, apt, lock)
    if not recipe.efi_stub:
        image = _without_stub(recipe, image, apt)
    text = config.read_text(encoding="utf-8") if config is not None else None
    return Kernel(recipe.name, image, read_kernel_traits(image.read_bytes(), text))


def _files(recipe: KernelRecipe, apt: AptRoot, lock: Lock) -> tuple[Path, Path | None]:
    image_package = lock.require(recipe.query())
    config_query = recipe.config_query()
    if config_query is None:
        return only(apt.extract(image_package, ["boot/vmlinuz-*"]).path, "boot/vmlinuz-*"), None
    config_package = lock.require(config_query)
    if image_package == config_package:
        tree = apt.extract(image_package, ["boot/vmlinuz-*", "boot/config-*"]).path
        return only(tree, "boot/vmlinuz-*"), only(tree, "boot/config-*")
    modules = "usr/lib/modules/*"
    image_tree = apt.extract(image_package, [f"{modules}/vmlinuz"]).path
    config_tree = apt.extract(config_package, [f"{modules}/config"]).path
    image, config = only(image_tree, f"{modules}/vmlinuz"), only(config_tree, f"{modules}/config")
    if image.parent.name != config.parent.name:
        raise HarnessError(
            f"kernel {recipe.name}: the image is of {image.parent.name}, the config of {config.parent.name}",
            "run `harness update` to lock packages that belong together",
        )
    return image, config


def _without_stub(recipe: KernelRecipe, image: Path, apt: AptRoot) -> Path:
    inputs: dict[str, JSONValue] = {
        "image": digest_file(image),
        "writer": digest_file(Path(__file__).with_name("stubless.py")),
    }

    def build(directory: Path) -> None:
        (directory / "vmlinuz").write_bytes(stubless.without_efi_stub(image.read_bytes()))

    store = apt.store
    return store.get("kernel-without-stub", recipe.name, inputs, build, apt.progress).path / "vmlinuz"
