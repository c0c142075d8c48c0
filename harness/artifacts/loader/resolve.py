# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a loader recipe to a bootable disk image, made without root and the same each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.artifacts.loader import files
from harness.artifacts.loader.files import Payload, esp_files
from harness.artifacts.loader.traits import LoaderTraits, read_loader_traits
from harness.debian.archive import NotInPackageError
from harness.errors import HarnessError
from harness.formats import fat32, gpt, uki
from harness.store.file_tree import digest_file
from harness.store.inputs import digest_code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.recipes.loader import LoaderRecipe
    from harness.store.entries import Store
    from harness.store.inputs import JSONValue

KIND = "loader-image"
IMAGE = "disk.img"
_MIB = 1 << 20
_LABEL, _SERIAL = "ESP", 0x5AC1AB1E


@dataclass(frozen=True)
class Loader:
    """A loader with its programs by key (image, shim, stub) and what they do."""

    recipe: LoaderRecipe
    binaries: Mapping[str, Path]
    traits: LoaderTraits


def resolve_loader(recipe: LoaderRecipe, apt: AptRoot, lock: Lock) -> Loader:
    """Fetch the programs; HarnessError, with the recipe's place, when a package does not hold one."""
    binaries = dict(recipe.files)
    for key, binary in recipe.binaries:
        package = lock.require(binary.query())
        try:
            binaries[key] = apt.extract(package, [binary.path]).path / binary.path
        except NotInPackageError as error:
            raise HarnessError(
                f"{recipe.where}: loader {recipe.name}: {package.package} {package.version} "
                f"holds no {binary.path}",
                error.what,
            ) from error
    traits = read_loader_traits(recipe, {key: path.read_bytes() for key, path in binaries.items()})
    return Loader(recipe, binaries, traits)


def loader_image(loader: Loader, payload: Payload, apt: AptRoot) -> Path:
    """Return a raw disk with one EFI system partition; it is shared, so every boot needs an overlay.

    HarnessError when the loader has no disk, or when its disk is too small.
    """
    recipe = loader.recipe
    if recipe.is_direct:
        raise HarnessError(f"the loader {recipe.name} has no disk: QEMU hands the kernel to the firmware")
    inputs: dict[str, JSONValue] = {
        "kind": recipe.kind.model_dump(by_alias=True, exclude_none=True),
        "esp-mib": recipe.esp_mib,
        "configs": list(recipe.configs),
        "config": digest_file(recipe.config) if recipe.config is not None else None,
        "binaries": {key: digest_file(path) for key, path in loader.binaries.items()},
        "kernel": digest_file(payload.kernel),
        "initrd": digest_file(payload.initrd) if payload.initrd is not None else None,
        "cmdline": payload.cmdline,
        "release": payload.release,
        "writers": digest_code(fat32, gpt, files, uki),
    }

    def build(directory: Path) -> None:
        write_disk(directory / IMAGE, recipe, esp_files(recipe, loader.binaries, payload))

    store: Store = apt.store
    return store.get(KIND, recipe.name, inputs, build, apt.progress).path / IMAGE


def write_disk(path: Path, recipe: LoaderRecipe, files: Mapping[str, fat32.Content]) -> None:
    """Write the disk; what holds nothing stays a hole. HarnessError when the files do not fit."""
    size = recipe.esp_mib * _MIB
    around = gpt.FIRST + gpt.BEHIND
    needed = fat32.needed_sectors(files) + around
    if needed > size // gpt.SECTOR:
        enough = -(-needed * gpt.SECTOR // _MIB)
        raise HarnessError(
            f"{recipe.where}: the disk of loader {recipe.name} is too small: its files need {enough} MiB, "
            f"esp-mib is {recipe.esp_mib}",
            f"set esp-mib to {enough} or more",
        )
    with path.open("wb") as image:
        image.truncate(size)
        sectors = gpt.write_gpt(image, size // gpt.SECTOR)
        fat32.write_fat32(image, gpt.FIRST * gpt.SECTOR, sectors, files, label=_LABEL, serial=_SERIAL)
