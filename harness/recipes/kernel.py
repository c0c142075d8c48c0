# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of kernels (``guest-images/kernels.yaml``): where a kernel comes from.

What a kernel can do is read from the kernel itself and from the config that it was built with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from harness.debian.index import PackageQuery
from harness.documents.strict import OneKey, Strict
from harness.recipes.common import Name, Suite, Version
from harness.recipes.groups import Groups

Text = Annotated[str, StringConstraints(min_length=1)]
_SPLIT = "linux-binary-"


class Prebuilt(Strict):
    """A kernel as Debian built it.

    Up to 6.18 one package has it all, linux-image-ABI. From 6.19 on it is split: vmlinuz is in
    linux-binary-ABI, its config in linux-base-ABI, its modules in linux-modules-ABI.
    """

    package: Text = Field(description="binary package with vmlinuz; a glob takes the newest")
    suite: Suite
    version: Version
    config: bool = Field(
        default=True,
        description="false: the mirror has neither its config nor its modules any more, so its traits are "
        "read from the image alone",
    )

    def query(self) -> PackageQuery:
        """Return which package holds vmlinuz."""
        return PackageQuery(self.package, self.suite, self.version)

    def config_query(self) -> PackageQuery | None:
        """Return which package holds the config, None for none; it is built together with the image's."""
        return self._beside("linux-base-")

    def modules_query(self) -> PackageQuery | None:
        """Return which package holds the kernel's modules, None for none."""
        return self._beside("linux-modules-")

    def queries(self) -> tuple[PackageQuery, ...]:
        """Return the packages that are needed, each once."""
        every = (self.query(), self.config_query(), self.modules_query())
        return tuple(dict.fromkeys(query for query in every if query is not None))

    def _beside(self, prefix: str) -> PackageQuery | None:
        if not self.config:
            return None
        package = self.package
        if package.startswith(_SPLIT):
            package = prefix + package.removeprefix(_SPLIT)
        return PackageQuery(package, self.suite, self.version)


class File(Strict):
    """A bzImage that is there already."""

    path: Text = Field(description="the bzImage or vmlinuz, relative to the recipe's file")
    config: Text | bool = Field(
        default=True,
        description="the .config that it was built with; true: the one beside it or inside it; "
        "false: there is none, its traits are read from the image alone",
    )
    modules: Text | None = Field(
        default=None,
        description="folder of its installed modules; default: lib/modules/RELEASE beside the image",
    )


class Tree(Strict):
    """A developer's build tree: arch/x86/boot/bzImage, .config and modules, as they are at the moment."""

    path: Text = Field(description="the folder in which `make bzImage modules` was run")


class KernelSource(OneKey):
    """Where a kernel comes from."""

    prebuilt: Prebuilt | None = Field(default=None, description="from Debian's binary packages")
    file: File | None = Field(default=None, description="image that is there already")
    tree: Tree | None = Field(default=None, description="build tree, which is never written to")


class KernelEntry(Strict):
    """A kernel by name."""

    name: Name
    description: str = Field(default="", description="what is special about it")
    source: KernelSource
    efi_stub: bool = Field(
        default=True, alias="efi-stub", description="false: the EFI stub's and handover's entries are cleared"
    )


class KernelFile(Strict):
    """The file ``guest-images/kernels.yaml``."""

    kernels: Annotated[tuple[KernelEntry, ...], Field(min_length=1)]
    groups: Groups


@dataclass(frozen=True)
class KernelRecipe:
    """A kernel, and where its recipe is: relative paths are relative to ``folder``.

    ``where`` is the recipe's ``file:line:column``, empty for a kernel that was named on a command line.
    """

    name: str
    source: KernelSource
    folder: Path = field(default_factory=Path)
    description: str = ""
    efi_stub: bool = True
    where: str = ""

    @property
    def title(self) -> str:
        """How messages begin that are about this kernel."""
        return f"{self.where}: kernel {self.name}" if self.where else f"kernel {self.name}"

    def queries(self) -> tuple[PackageQuery, ...]:
        """Return the packages that are needed."""
        return self.source.prebuilt.queries() if self.source.prebuilt is not None else ()

    def path(self, written: str) -> Path:
        """Return the path that a recipe's text means."""
        return (self.folder / Path(written).expanduser()).absolute()
