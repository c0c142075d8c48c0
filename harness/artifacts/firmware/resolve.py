# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a firmware recipe to an image for ``-bios``, with traits read from it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.artifacts.firmware import traits as reader
from harness.artifacts.firmware.build import build_firmware, explain_firmware
from harness.artifacts.firmware.edk2_build import IMAGE
from harness.artifacts.firmware.traits import FirmwareTraits
from harness.artifacts.trait_values import told
from harness.errors import HarnessError, SubjectError
from harness.formats import firmware_volume
from harness.store import file_tree
from harness.store.asking import NotMadeError
from harness.store.inputs import digest_code

if TYPE_CHECKING:
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.recipes.firmware import FirmwareRecipe
    from harness.store.inputs import JSONValue

TRAITS = "traits.json"


@dataclass(frozen=True)
class Firmware:
    """A firmware image for ``-bios``."""

    name: str
    path: Path
    traits: FirmwareTraits


def resolve_firmware(recipe: FirmwareRecipe, apt: AptRoot, lock: Lock) -> Firmware:
    """Fetch or build the image; HarnessError when it cannot be had, or is not what the recipe expects."""
    path = _image(recipe, apt, lock)
    traits = _traits(recipe.name, path, apt)
    if wrong := contradictions(recipe, traits):
        raise SubjectError(
            f"firmware {recipe.name} is not what its recipe expects: {'; '.join(wrong)}",
            f"correct the recipe's expect, or what it is built from; the image is {path}",
        )
    return Firmware(recipe.name, path, traits)


def explain(recipe: FirmwareRecipe, apt: AptRoot, lock: Lock) -> str:
    """Return whether the image would be made anew, and why."""
    if not recipe.source.is_image:
        return explain_firmware(recipe, apt, lock)
    return f"firmware {recipe.name}: nothing is built, it is {recipe.source.way}: {_origin(recipe, lock)}"


def contradictions(recipe: FirmwareRecipe, traits: FirmwareTraits) -> list[str]:
    """Return where an image differs from the recipe's ``expect``, with what each trait was read from."""
    found = dataclasses.asdict(traits)
    return [
        f"{name} is {told(found[name])} ({traits.sources.get(name, '')})"
        for name, wanted in recipe.expect
        if (not {*wanted} <= {*found[name]} if isinstance(wanted, tuple) else found[name] != wanted)
    ]


def _traits(name: str, path: Path, apt: AptRoot) -> FirmwareTraits:
    """Read the traits, or remember them: unpacking the drivers takes longer than all else of a no-op."""
    inputs: dict[str, JSONValue] = {
        "image": file_tree.digest_file(path),
        "readers": digest_code(reader, firmware_volume),
    }

    def build(directory: Path) -> None:
        traits = reader.read_firmware_traits(path.read_bytes())
        (directory / TRAITS).write_text(json.dumps(dataclasses.asdict(traits)))

    try:
        artifact = apt.store.get("firmware-traits", name, inputs, build, apt.progress)
    except NotMadeError:  # whoever makes nothing may read
        return reader.read_firmware_traits(path.read_bytes())
    return FirmwareTraits.from_json(json.loads((artifact.path / TRAITS).read_bytes()))


def _origin(recipe: FirmwareRecipe, lock: Lock) -> str:
    if recipe.source.file is not None:
        return str(recipe.path(recipe.source.file.path))
    assert recipe.source.prebuilt is not None
    package = lock.require(recipe.source.prebuilt.query())
    return f"{recipe.source.prebuilt.path} of {package.package} {package.version}"


def _image(recipe: FirmwareRecipe, apt: AptRoot, lock: Lock) -> Path:
    if recipe.source.file is not None:
        path = recipe.path(recipe.source.file.path)
        if not path.is_file():
            raise HarnessError(f"firmware {recipe.name}: {path}: no such file")
        if not firmware_volume.has_volume(path.read_bytes()):
            what = f"firmware {recipe.name}: {path}: no firmware image, there is no volume in it"
            raise HarnessError(what, "name a whole image, such as OVMF.fd")
        return path
    if recipe.source.prebuilt is not None:
        prebuilt = recipe.source.prebuilt
        package = lock.require(prebuilt.query())
        return apt.extract(package, [prebuilt.path]).path / prebuilt.path
    return build_firmware(recipe, apt, lock).path / IMAGE
