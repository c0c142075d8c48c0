# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The recipe of the one QEMU of the project (``qemu-builds/qemu.yaml``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.debian.index import PackageQuery
from harness.documents.document import load
from harness.documents.strict import Strict
from harness.paths import SHIPPED_PROJECT, Project

QEMU_FILE = "qemu-builds/qemu.yaml"


class QemuData(Strict):
    """Data files taken from a binary package of the same suite."""

    package: str = Field(min_length=1)
    paths: Annotated[tuple[str, ...], Field(min_length=1)]


class QemuRecipe(Strict):
    """How the one QEMU of the project is made."""

    package: str = Field(min_length=1, description="Debian source package")
    suite: str = Field(min_length=1, description="Debian suite")
    version: str | None = Field(default=None, description="version, exact or a glob; default: the newest")
    data: QemuData
    configure: Annotated[tuple[str, ...], Field(min_length=1, description="options of QEMU's configure")]

    def queries(self) -> tuple[PackageQuery, PackageQuery]:
        """Return the source package and the package with data files."""
        return (
            PackageQuery(self.package, self.suite, self.version, source=True),
            PackageQuery(self.data.package, self.suite, self.version),
        )


class QemuFile(Strict):
    """The file ``qemu-builds/qemu.yaml``."""

    qemu: QemuRecipe


def load_qemu(project: Project = SHIPPED_PROJECT) -> QemuRecipe:
    """Read the recipe; ``YamlError`` for mistakes in it."""
    return load(project.one(QEMU_FILE), QemuFile).qemu
