# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How a loader enters a kernel, read from its binaries: messages that only the one or the other way has.

The ways themselves are documented in docs/explanation/loaders.md with the sources that were read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.artifacts.kernel.traits import KernelTraits
    from harness.recipes.loader import LoaderRecipe

Entry = Literal["efi-stub", "handover", "legacy", "legacy-no-cbit", "legacy-by-firmware", "none"]
"""``efi-stub``: the kernel's PE entry. ``handover``: its EFI handover entry, which leads into the stub.
``legacy``: its 32-bit entry, after the loader itself has left boot services and has written e820.
``legacy-no-cbit``: the same, but the loader copies the kernel through page tables of its own, without C-bit,
so that an SNP guest's pages become shared and lose their contents.
``legacy-by-firmware``: OVMF's own LoadLinuxLib, with which an SNP guest gets no initramfs.
``none``: the loader refuses the kernel."""

PeLoader = Literal["firmware", "own", "none"]

_SBAT_GRUB = re.compile(rb"^grub,\d+,[^,\n]*,grub,([^,\n]+),", re.MULTILINE)
_MAGIC = re.compile(rb"#### LoaderInfo: systemd-(?:boot|stub) ([^ #]+) ####")

_LEGACY_FIRST = b"Secure Boot enabled: trying linuxefi"
_STUB_FIRST = b"Using LoadFile2 initrd loading protocol"
_STUB_WANTED = b"rebuild with CONFIG_(U)EFI_STUB enabled"
_OWN_TABLES = b"grub_cpu_relocator_preamble"
_HANDOVER = b"kernel doesn't support EFI handover"
_CHAINLOADER = b"loader/efi/chainloader.c"
_BY_FIRMWARE = "Error loading kernel image"
_OWN_PE_LOADER = "Inner kernel image contains"
_LOAD_IMAGE = "Failed to load image"


@dataclass(frozen=True)
class LoaderTraits:
    """What a loader does; ``sources`` says for each trait what it was read from.

    ``version`` is of the program that enters the kernel, as it says itself. ``with_stub`` is how it enters
    kernels that have an EFI stub, ``without_stub`` those that have neither stub nor handover entry.
    ``pe_loader`` is who loads the stub's PE image: the firmware (LoadImage) or the loader itself.
    ``passes_cmdline``: the kernel gets a command line and an initramfs.
    """

    version: str
    with_stub: Entry
    without_stub: Entry
    pe_loader: PeLoader
    passes_cmdline: bool = True
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def entry(self, kernel: KernelTraits) -> Entry:
        """Return how the loader enters this kernel."""
        if self.with_stub == "handover" and not kernel.handover:
            return "none"
        return self.with_stub if kernel.efi_stub or kernel.probe else self.without_stub


def read_loader_traits(recipe: LoaderRecipe, binaries: Mapping[str, bytes]) -> LoaderTraits:
    """Read the traits from the recipe's binaries by key; HarnessError when they do not tell them."""
    kind = recipe.kind
    if kind.grub is not None:
        return _grub(recipe, binaries["image"])
    if kind.systemd_boot is not None or kind.uki is not None:
        # A stub that systemd-boot starts is what enters the kernel.
        return _stub(recipe, binaries["stub"]) if "stub" in binaries else _boot(recipe, binaries["image"])
    firmware = "the firmware starts the kernel's PE image (LoadImage, StartImage)"
    if kind.direct is not None:
        fallback = "OVMF's X86QemuLoadImageLib: LoadLinuxLib when LoadImage refuses the kernel, up to 202511"
        return LoaderTraits(
            "",
            "efi-stub",
            "legacy-by-firmware",
            "firmware",
            sources={"with_stub": firmware, "without_stub": fallback},
        )
    refused = "LoadImage refuses what is no PE image"
    return LoaderTraits(
        version="",
        with_stub="efi-stub",
        without_stub="none",
        pe_loader="firmware",
        passes_cmdline=kind.shell is not None,
        sources={"with_stub": firmware, "without_stub": refused},
    )


def _grub(recipe: LoaderRecipe, image: bytes) -> LoaderTraits:
    assert recipe.kind.grub is not None
    command = recipe.kind.grub.command
    version = _version(recipe, _SBAT_GRUB, image, ".sbat says no version of GRUB")

    def made(with_stub: Entry, without_stub: Entry, loads: PeLoader, *said: bytes) -> LoaderTraits:
        text = "; ".join(f"{line.decode()!r}" for line in said)
        told = f"command {command}, GRUB's image says {text}"
        sources = {"version": ".sbat", "with_stub": told, "without_stub": told}
        return LoaderTraits(version, with_stub, without_stub, loads, sources=sources)

    legacy: Entry = "legacy-no-cbit" if _OWN_TABLES in image else "legacy"
    if command == "chainloader" and _CHAINLOADER in image:
        return made("efi-stub", "none", "firmware", _CHAINLOADER)
    if command == "linuxefi" and _HANDOVER in image:
        return made("handover", "none", "none", _HANDOVER)
    if command == "linux" and _LEGACY_FIRST in image:
        return made(legacy, legacy, "none", _LEGACY_FIRST)
    if command == "linux" and _STUB_FIRST in image and _STUB_WANTED in image:
        own = [_OWN_TABLES] if _OWN_TABLES in image else []
        return made("efi-stub", legacy, "firmware", _STUB_FIRST, _STUB_WANTED, *own)
    raise _untold(recipe, f"GRUB {version} has none of the known messages of the command {command}")


def _stub(recipe: LoaderRecipe, stub: bytes) -> LoaderTraits:
    version = _version(recipe, _MAGIC, stub, "its .sdmagic section says no version of systemd's stub")
    if _says(stub, _OWN_PE_LOADER):
        loads: PeLoader = "own"
        told = f"systemd's stub says {_OWN_PE_LOADER!r}: it loads the kernel's PE image itself"
    elif _says(stub, _BY_FIRMWARE):
        loads, told = "firmware", f"systemd's stub says {_BY_FIRMWARE!r}: it calls LoadImage"
    else:
        raise _untold(recipe, f"systemd's stub {version} has none of the known messages")
    refused = "systemd's stub says 'Bad kernel image' of what is no PE image"
    sources = {"version": ".sdmagic", "with_stub": told, "without_stub": refused}
    return LoaderTraits(version, "efi-stub", "none", loads, sources=sources)


def _boot(recipe: LoaderRecipe, image: bytes) -> LoaderTraits:
    version = _version(recipe, _MAGIC, image, "its .sdmagic section says no version of systemd-boot")
    if not _says(image, _LOAD_IMAGE):
        raise _untold(recipe, f"systemd-boot {version} has none of the known messages")
    told = f"systemd-boot says {_LOAD_IMAGE!r}: it calls LoadImage, and knows no other way"
    sources = {"version": ".sdmagic", "with_stub": told, "without_stub": told}
    return LoaderTraits(version, "efi-stub", "none", "firmware", sources=sources)


def _says(image: bytes, message: str) -> bool:
    """Look for a message; systemd's programs up to 252 hold UTF-16, later ones UTF-8 formats."""
    return message.encode() in image or message.encode("utf-16le") in image


def _version(recipe: LoaderRecipe, pattern: re.Pattern[bytes], image: bytes, missing: str) -> str:
    match = pattern.search(image)
    if match is None:
        raise _untold(recipe, missing)
    return match[1].decode("ascii", errors="replace")


def _untold(recipe: LoaderRecipe, why: str) -> HarnessError:
    return HarnessError(
        f"{recipe.where}: how loader {recipe.name} enters a kernel is unknown: {why}",
        "is the recipe's path the program that it should be?",
    )
