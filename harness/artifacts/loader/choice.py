# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a user may name as a loader on a command line: a recipe, ``file:PATH``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import name_of
from harness.errors import HarnessError
from harness.recipes.loader import Grub, LoaderKind, LoaderRecipe, SystemdBoot, Uki
from harness.store.file_tree import digest_file

if TYPE_CHECKING:
    from harness.recipes.catalog import Catalog

LOADER_FORMS = "NAME|file:PATH"
CONFIG = "grub.cfg"
_ESP_MIB = 1024
"""Room for any kernel and initramfs: what holds nothing takes no space."""
_OWN = "own"
_PREFIX = re.compile(rb"[\0)]/((?:EFI|efi|boot)/[\w.-]+)\0")
"""Where GRUB looks for its configuration: the prefix that grub-mkimage has put into the image."""
_USUAL_PREFIXES = ("EFI/BOOT", "boot/grub")


def choose_loader(text: str, catalog: Catalog) -> LoaderRecipe:
    """Return the recipe that ``text`` stands for; HarnessError for an unknown name or a path not there.

    ``file:PATH`` is an EFI program: GRUB, systemd-boot or systemd's stub, as the program itself shows. GRUB
    gets the ``grub.cfg`` that lies beside it, else one that starts the cell's kernel.
    """
    kind, colon, written = text.partition(":")
    if not colon:
        return catalog.loader_recipe(text)
    if kind != "file":
        raise HarnessError(f"{text}: unknown kind of loader {kind!r}", f"write {LOADER_FORMS}")
    path = Path(written).expanduser().absolute()
    if not path.is_file():
        raise HarnessError(f"{text}: no such file", "name an EFI program, such as file:grubx64.efi")
    program = path.read_bytes()
    if not program.startswith(b"MZ"):
        raise HarnessError(f"{text}: no EFI program", "name one such as grubx64.efi")
    key, of = _kind(text, program)
    beside = path.with_name(CONFIG)
    return LoaderRecipe(
        name=name_of(kind, path.stem, digest_file(path)),
        kind=of,
        esp_mib=_ESP_MIB,
        where=str(path),
        files=((key, path),),
        configs=_configs(program),
        config=beside if of.grub is not None and beside.is_file() else None,
    )


def _kind(text: str, program: bytes) -> tuple[str, LoaderKind]:
    """Return what kind of loader a program is, and the key under which its recipe has it."""
    if b"LoaderInfo: systemd-stub" in program:
        return "stub", LoaderKind(uki=Uki(stub=_OWN))
    if b"LoaderInfo: systemd-boot" in program:
        return "image", LoaderKind.model_validate({"systemd-boot": SystemdBoot(image=_OWN)})
    if b"grub_" in program:
        return "image", LoaderKind(grub=Grub(image=_OWN))
    raise HarnessError(f"{text}: neither GRUB, systemd-boot nor systemd's stub", "name one of these")


def _configs(program: bytes) -> tuple[str, ...]:
    """Return the paths at which a GRUB may look for its configuration."""
    found = (match.decode("ascii") for match in _PREFIX.findall(program))
    return tuple(f"{prefix}/{CONFIG}" for prefix in dict.fromkeys((*found, *_USUAL_PREFIXES)))
