# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of firmware (``ovmf-builds/*.yaml``): where an image comes from, or how it is built.

What an image can do is read from the image itself; ``expect`` only says what its author counts on.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from harness.debian.index import PackageQuery
from harness.documents.strict import OneKey, Strict
from harness.recipes.common import Name, PathInPackage, Suite, Version
from harness.recipes.groups import Groups

Text = Annotated[str, StringConstraints(min_length=1)]
Value = str | int | bool
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Define = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Pcd = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}$")]
ACCEPTANCE_LOG = {"gEfiMdePkgTokenSpaceGuid.PcdDebugPrintErrorLevel": "0x8240004F"}
"""DEBUG levels among which firmware logs what it accepts: init, warnings, load, fs, info, verbose, errors."""


class Prebuilt(Strict):
    """Firmware as a distribution built it."""

    package: Text = Field(description="binary package")
    suite: Suite
    version: Version
    path: PathInPackage = Field(description="the .fd inside the package, such as usr/share/ovmf/OVMF.fd")

    def query(self) -> PackageQuery:
        """Return which package holds the firmware."""
        return PackageQuery(self.package, self.suite, self.version)


class DebianSource(Strict):
    """edk2 as Debian's source package has it, with Debian's patches."""

    package: Text = Field(default="edk2", description="source package")
    suite: Suite
    version: Version
    skip_patches: tuple[Text, ...] = Field(
        default=(), alias="skip-patches", description="entries of debian/patches/series to leave out"
    )

    def query(self) -> PackageQuery:
        """Return which source package it is."""
        return PackageQuery(self.package, self.suite, self.version, source=True)


class Git(Strict):
    """One commit of a git repository."""

    url: Text = Field(description="address, or a path relative to the recipe's file")
    commit: Commit = Field(description="all 40 digits")
    submodules: tuple[Text, ...] | bool = Field(
        default=True, description="true: all, recursively; or the paths of those that the build needs"
    )


class Tree(Strict):
    """A developer's working tree, as it is at the moment."""

    path: Text = Field(description="folder, relative to the recipe's file")


class File(Strict):
    """A built image."""

    path: Text = Field(description="the .fd, relative to the recipe's file")


class FirmwareSource(OneKey):
    """Where firmware comes from."""

    prebuilt: Prebuilt | None = Field(default=None, description="image from a Debian binary package")
    file: File | None = Field(default=None, description="image that is there already")
    debian_source: DebianSource | None = Field(
        default=None, alias="debian-source", description="built from Debian's source package"
    )
    git: Git | None = Field(default=None, description="built from a commit")
    tree: Tree | None = Field(
        default=None, description="built from a working tree, which is never written to"
    )

    @property
    def is_image(self) -> bool:
        """Whether there is nothing to build."""
        return self.prebuilt is not None or self.file is not None


def _moved(_value: object) -> None:
    raise ValueError("this key has another name; write technologies: [snp]")


class Expect(Strict):
    """Traits that the image must have, or lack; see ``FirmwareTraits``."""

    technologies: tuple[Text, ...] | None = Field(
        default=None, description="technologies whose guests it describes to the hypervisor, at least"
    )
    memory_acceptance: bool | None = Field(default=None, description="has the protocol for lazy acceptance")
    accepts_at_exit: bool | None = Field(
        default=None, description="accepts what is left when boot services end"
    )
    kernel_hashes: bool | None = Field(default=None, description="checks a hash of the kernel")
    debug_output: bool | None = Field(default=None, description="prints DEBUG messages")
    private_apic: bool | None = Field(default=None, description="uses the local APIC with the C-bit")
    snp_capable: SkipJsonSchema[Annotated[bool | None, AfterValidator(_moved)]] = None


class FirmwareEntry(Strict):
    """A firmware by name, as it is written; what it lacks comes from the recipe that it extends."""

    name: Name
    description: str = Field(default="", description="what is special about it")
    extends: Name | None = Field(
        default=None,
        description="recipe to start from: its source and options, where this one does not say otherwise; "
        "patches, defines, pcds and expect are added to its own",
    )
    source: FirmwareSource | None = Field(default=None, description="where it comes from")
    patches: tuple[Text, ...] | None = Field(
        default=None,
        description="diffs or mails with diffs, in order, relative to this file; for `git am` or `patch -p1`",
    )
    dsc: Text | None = Field(default=None, description="platform; default: OvmfPkg/OvmfPkgX64.dsc")
    arch: Literal["X64"] | None = Field(default=None, description="default: X64")
    target: Literal["DEBUG", "RELEASE", "NOOPT"] | None = Field(default=None, description="default: DEBUG")
    toolchain: Text | None = Field(default=None, description="default: GCC or GCC5, as the source has it")
    defines: dict[Define, Value] | None = Field(default=None, description="build -D")
    pcds: dict[Pcd, Value] | None = Field(default=None, description="build --pcd")
    expect: Expect | None = Field(default=None, description="the build fails if the image has other traits")

    def build_keys(self) -> list[str]:
        """Return the keys given here that only a build has a use for."""
        keys = ("patches", "dsc", "arch", "target", "toolchain", "defines", "pcds")
        return [key for key in keys if getattr(self, key) is not None]


class FirmwareFile(Strict):
    """A file ``ovmf-builds/*.yaml``."""

    firmware: Annotated[tuple[FirmwareEntry, ...], Field(min_length=1)]
    groups: Groups


@dataclass(frozen=True)
class BuildOptions:
    """How edk2's ``build`` is called. ``toolchain`` None: GCC, or GCC5 in trees older than that name."""

    dsc: str = "OvmfPkg/OvmfPkgX64.dsc"
    arch: str = "X64"
    target: str = "DEBUG"
    toolchain: str | None = None
    defines: tuple[tuple[str, str], ...] = ()
    pcds: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class FirmwareRecipe:
    """A whole recipe: what it extends is worked in. Relative paths in it are relative to ``folder``."""

    name: str
    source: FirmwareSource
    folder: Path = field(default_factory=Path)
    description: str = ""
    patches: tuple[Path, ...] = ()
    options: BuildOptions = BuildOptions()
    expect: tuple[tuple[str, bool | tuple[str, ...]], ...] = ()

    def queries(self) -> tuple[PackageQuery, ...]:
        """Return the packages that are needed."""
        package = self.source.prebuilt or self.source.debian_source
        return (package.query(),) if package else ()

    def path(self, written: str) -> Path:
        """Return the path that a recipe's text means."""
        return (self.folder / Path(written).expanduser()).absolute()


def whole_recipe(entry: FirmwareEntry, parent: FirmwareRecipe | None, folder: Path) -> FirmwareRecipe:
    """Work what ``entry`` extends into it. ``folder`` is that of the entry's file.

    ValueError for an entry without source that extends nothing, and for build keys where nothing is built.
    """
    # A source of the entry's own is relative to its own file, an inherited one to its parent's.
    source, home = entry.source, folder
    if source is None:
        if parent is None:
            raise ValueError("missing key 'source' (where it comes from), and it extends nothing")
        source, home = parent.source, parent.folder
    base = parent or FirmwareRecipe(entry.name, source)
    if source.is_image and (keys := entry.build_keys()):
        raise ValueError(f"{', '.join(keys)}: nothing is built from the source {source.way!r}")
    if source.is_image and (base.patches or base.options != BuildOptions()):
        raise ValueError(f"the source {source.way!r} is not built, but {base.name} has patches or options")
    told = {
        key: value
        for key in ("dsc", "arch", "target", "toolchain")
        if (value := getattr(entry, key)) is not None
    }
    options = dataclasses.replace(
        base.options,
        **told,
        defines=_merged(base.options.defines, entry.defines),
        pcds=_merged(base.options.pcds, entry.pcds),
    )
    expect = dict(base.expect) | (entry.expect.model_dump(exclude_none=True) if entry.expect else {})
    patches = tuple((folder / patch).absolute() for patch in entry.patches or ())
    return FirmwareRecipe(
        name=entry.name,
        source=source,
        folder=home,
        description=entry.description,
        patches=(*base.patches, *patches),
        options=options,
        expect=tuple(sorted(expect.items())),
    )


def _merged(base: tuple[tuple[str, str], ...], own: dict[str, Value] | None) -> tuple[tuple[str, str], ...]:
    """Add settings to inherited ones; edk2 writes booleans in capitals."""
    texts = {
        name: str(value).upper() if isinstance(value, bool) else str(value)
        for name, value in (own or {}).items()
    }
    return tuple(sorted((dict(base) | texts).items()))
