# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of kernels (``guest-images/kernels.yaml``): where a kernel comes from.

What a kernel can do is read from the kernel itself and from its package's config.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.artifacts.lock import PackageQuery
from harness.artifacts.recipe_types import Name, Strict, Suite, Version


class KernelRecipe(Strict):
    """A kernel by name: a Debian package that holds vmlinuz."""

    name: Name
    description: str = Field(default="", description="what is special about it")
    package: str = Field(min_length=1, description="binary package with vmlinuz; a glob takes the newest")
    suite: Suite
    version: Version
    config: bool = Field(
        default=True,
        description="false: the mirror has no config for it, so its traits are read from the image alone",
    )
    efi_stub: bool = Field(
        default=True, alias="efi-stub", description="false: the EFI stub's and handover's entries are cleared"
    )

    def query(self) -> PackageQuery:
        """Say which package holds vmlinuz."""
        return PackageQuery(self.package, self.suite, self.version)

    def config_query(self) -> PackageQuery | None:
        """Say which package holds the kernel's config, None for none; it is built together with the image's.

        From 6.19 on Debian splits the image: vmlinuz is in linux-binary-ABI, its config in linux-base-ABI,
        from 7.1 on both below ``usr/lib/modules/ABI/``. Before, linux-image-ABI holds both, in ``boot/``.
        """
        prefix = "linux-binary-"
        package = self.package
        if not self.config:
            return None
        if package.startswith(prefix):
            package = f"linux-base-{package.removeprefix(prefix)}"
        return PackageQuery(package, self.suite, self.version)

    def queries(self) -> tuple[PackageQuery, ...]:
        """List the packages that are needed."""
        config = self.config_query()
        return (self.query(),) if config is None else (self.query(), config)


class KernelFile(Strict):
    """The file ``guest-images/kernels.yaml``."""

    kernels: Annotated[tuple[KernelRecipe, ...], Field(min_length=1)]
