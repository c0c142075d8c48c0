# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of loaders (``guest-images/loaders.yaml``): what stands between the firmware and the kernel.

All are binaries that a distribution ships. How a loader enters the kernel is read from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.debian.index import PackageQuery
from harness.documents.document import Document, Loc, Problem, near
from harness.documents.strict import OneKey, Strict
from harness.recipes.common import Name, PathInPackage, Suite, Version
from harness.recipes.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

DIRECT = "direct"
"""The loader that every project has: QEMU's ``-kernel``, no disk."""

Binary = Annotated[str, Field(min_length=1, description="name of a binary, of this file or another one")]
Timeout = Annotated[int, Field(ge=0, le=3600, description="seconds that the menu waits; 0: it is not shown")]


class BinaryRecipe(Strict):
    """An EFI program as a distribution built it."""

    package: str = Field(min_length=1, description="binary package")
    suite: Suite
    version: Version
    path: PathInPackage = Field(description="the program inside the package")

    def query(self) -> PackageQuery:
        """Return which package holds the program."""
        return PackageQuery(self.package, self.suite, self.version)


class Direct(Strict):
    """QEMU's ``-kernel``: the firmware gets the kernel through fw_cfg."""


class Grub(Strict):
    """GRUB with a menu of one entry."""

    image: Binary
    shim: Binary | None = Field(default=None, description="shim, which the firmware starts in GRUB's place")
    command: Literal["linux", "linuxefi", "chainloader"] = Field(
        default="linux", description="GRUB's command for the kernel"
    )
    timeout: Timeout = 0


class SystemdBoot(Strict):
    """systemd-boot with a menu of one entry."""

    image: Binary
    stub: Binary | None = Field(
        default=None, description="systemd's EFI stub: the entry is a unified kernel image on it"
    )
    timeout: Timeout = 0


class Uki(Strict):
    """A unified kernel image that the firmware starts itself."""

    stub: Binary = Field(description="systemd's EFI stub")


class BootFile(Strict):
    """The kernel itself is EFI/BOOT/BOOTX64.EFI: no command line, no initramfs, no console."""


class Shell(Strict):
    """The firmware's UEFI shell starts the kernel from startup.nsh."""


class LoaderKind(OneKey):
    """What kind of loader it is."""

    direct: Direct | None = Field(default=None, description="QEMU's -kernel, without a disk")
    grub: Grub | None = Field(default=None, description="GRUB, with or without shim")
    systemd_boot: SystemdBoot | None = Field(default=None, alias="systemd-boot", description="systemd-boot")
    uki: Uki | None = Field(default=None, description="unified kernel image")
    boot_file: BootFile | None = Field(
        default=None, alias="boot-file", description="the kernel as EFI/BOOT/BOOTX64.EFI"
    )
    shell: Shell | None = Field(default=None, description="the firmware's UEFI shell")

    def binaries(self) -> Mapping[str, str]:
        """Return the names of the binaries by the key that holds them."""
        if self.grub is not None:
            used = {"image": self.grub.image, "shim": self.grub.shim}
        elif self.systemd_boot is not None:
            used = {"image": self.systemd_boot.image, "stub": self.systemd_boot.stub}
        elif self.uki is not None:
            used = {"stub": self.uki.stub}
        else:
            used = {}
        return {key: name for key, name in used.items() if name is not None}


class LoaderEntry(Strict):
    """A loader by name."""

    name: Name
    description: str = Field(default="", description="what is special about it")
    kind: LoaderKind
    esp_mib: int = Field(
        default=64, ge=1, le=4096, alias="esp-mib", description="size of the disk in MiB; FAT32 needs 35"
    )


class LoaderFile(Strict):
    """The file ``guest-images/loaders.yaml``."""

    binaries: dict[Name, BinaryRecipe] = Field(
        default={}, description="EFI programs, used by several loaders"
    )
    loaders: Annotated[tuple[LoaderEntry, ...], Field(min_length=1)]
    groups: Groups


@dataclass(frozen=True)
class LoaderRecipe:
    """A whole recipe: names of binaries are resolved. ``binaries`` has them by key (image, shim, stub).

    ``where`` is the recipe's ``file:line:column``, for messages. Of a user's own program ``files`` has it
    by key, ``configs`` are the paths at which it may look for its configuration, and ``config`` is the user's
    own configuration.
    """

    name: str
    kind: LoaderKind
    binaries: tuple[tuple[str, BinaryRecipe], ...] = ()
    description: str = ""
    esp_mib: int = 64
    where: str = ""
    files: tuple[tuple[str, Path], ...] = ()
    configs: tuple[str, ...] = ("EFI/debian/grub.cfg",)
    config: Path | None = None

    @property
    def is_direct(self) -> bool:
        """Whether there is no disk."""
        return self.kind.direct is not None

    @property
    def linux_only(self) -> bool:
        """Whether it starts no other EFI program: GRUB and systemd's stub want a kernel's setup header."""
        grub = self.kind.grub
        return "stub" in self.kind.binaries() or (grub is not None and grub.command != "chainloader")

    def queries(self) -> tuple[PackageQuery, ...]:
        """Return the packages that are needed."""
        return tuple(dict.fromkeys(binary.query() for _, binary in self.binaries))


_DIRECT = LoaderKind.model_construct(direct=Direct.model_construct())  # unchecked: a check takes 5 ms to make
BUILT_IN = {DIRECT: LoaderRecipe(DIRECT, _DIRECT)}


def whole_loaders(
    documents: Iterable[Document[LoaderFile]], problems: list[Problem]
) -> dict[str, LoaderRecipe]:
    """Return the loaders of all files by name; none of them when there are problems."""
    documents = tuple(documents)
    binaries: dict[str, BinaryRecipe] = {}
    mistakes = [*_binaries(documents, binaries), *_mistakes(documents, binaries)]
    problems += mistakes
    if mistakes:
        return {}
    return {
        entry.name: LoaderRecipe(
            name=entry.name,
            kind=entry.kind,
            binaries=tuple((key, binaries[name]) for key, name in entry.kind.binaries().items()),
            description=entry.description,
            esp_mib=entry.esp_mib,
            where=document.where(("loaders", number)),
        )
        for document in documents
        for number, entry in enumerate(document.model.loaders)
    }


def _binaries(documents: Iterable[Document[LoaderFile]], found: dict[str, BinaryRecipe]) -> Iterable[Problem]:
    """Add the binaries of all files to ``found``; find names that are taken."""
    places: dict[str, str] = {}
    for document in documents:
        for name, binary in document.model.binaries.items():
            here = document.where(("binaries", name))
            if places.setdefault(name, here) != here:
                message = f"the name {name!r} is taken by the binary at {places[name]}"
                yield document.problem_at(("binaries", name), message, key=True)
            found.setdefault(name, binary)


def _mistakes(
    documents: Collection[Document[LoaderFile]], known: Mapping[str, BinaryRecipe]
) -> Iterable[Problem]:
    """Find names that are taken or unknown, and binaries that nothing uses."""
    places: dict[str, str] = {}
    used: set[str] = set()
    for document in documents:
        for number, entry in enumerate(document.model.loaders):
            at: Loc = ("loaders", number)
            here = document.where((*at, "name"))
            if entry.name == DIRECT or places.setdefault(entry.name, here) != here:
                by = "QEMU's -kernel" if entry.name == DIRECT else f"the loader at {places[entry.name]}"
                yield document.problem_at((*at, "name"), f"the name {entry.name!r} is taken by {by}")
            for key, binary in entry.kind.binaries().items():
                used.add(binary)
                if binary not in known:
                    message = f"unknown binary {binary!r}; {near(binary, known)}"
                    yield document.problem_at((*at, "kind", entry.kind.way, key), message)
    if used <= known.keys():  # else one that is misspelt may be the one that is missing
        for document in documents:
            for name in document.model.binaries:
                if name not in used:
                    yield document.problem_at(("binaries", name), f"no loader uses {name!r}", key=True)
