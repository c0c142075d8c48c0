# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The named ingredients: recipes of firmware (``ovmf-builds/``) and kernels (``guest-images/kernels.yaml``).

A recipe says where an ingredient comes from; what it can do is read from the ingredient itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from harness.artifacts.apt import SUITES
from harness.artifacts.lock import PackageQuery
from harness.errors import HarnessError
from harness.matrix.schema import Known
from harness.paths import PROJECT
from harness.yamlfile import Document, Problem, YamlError, load_document, near

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def _suite(name: str) -> str:
    if name not in SUITES:
        raise ValueError(f"unknown suite {name!r}; {near(name, SUITES)}")
    return name


def _inside_package(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"{path!r} must be a path inside the package, such as usr/share/ovmf/OVMF.fd")
    return path


Name = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="lower-case name, as scenarios use it")
]
Suite = Annotated[
    str,
    AfterValidator(_suite),
    WithJsonSchema({"type": "string", "enum": list(SUITES)}),
    Field(description="Debian suite"),
]
Version = Annotated[
    str | None,
    Field(default=None, min_length=1, description="package version, exact or a glob; default: the newest"),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prebuilt(_Strict):
    """Firmware as a distribution built it."""

    package: str = Field(min_length=1, description="binary package")
    suite: Suite
    version: Version
    path: Annotated[str, AfterValidator(_inside_package)] = Field(
        min_length=1, description="the .fd inside the package, such as usr/share/ovmf/OVMF.fd"
    )

    def query(self) -> PackageQuery:
        """Say which package holds the firmware."""
        return PackageQuery(self.package, self.suite, self.version)


class PrebuiltSource(_Strict):
    """The branch of a firmware's source that is marked by the key ``prebuilt``."""

    prebuilt: Prebuilt = Field(description="taken from a binary package")


FirmwareSource = PrebuiltSource
"""Where firmware comes from, told apart by the one key of the mapping; a further way is one more member."""


class FirmwareRecipe(_Strict):
    """A firmware by name."""

    name: Name
    description: str = Field(default="", description="what is special about it")
    source: FirmwareSource = Field(description="a mapping with one key: prebuilt")

    def query(self) -> PackageQuery:
        """Say which package is needed."""
        return self.source.prebuilt.query()


class KernelRecipe(_Strict):
    """A kernel by name: a Debian package that holds vmlinuz."""

    name: Name
    description: str = Field(default="", description="what is special about it")
    package: str = Field(min_length=1, description="binary package with vmlinuz; a glob takes the newest")
    suite: Suite
    version: Version

    def query(self) -> PackageQuery:
        """Say which package holds vmlinuz."""
        return PackageQuery(self.package, self.suite, self.version)

    def config_query(self) -> PackageQuery:
        """Say which package holds the kernel's config; it is built together with the one of ``query``.

        From 6.19 on Debian splits the image: vmlinuz is in linux-binary-ABI, its config in linux-base-ABI,
        both below ``usr/lib/modules/ABI/``. Before, linux-image-ABI holds both, in ``boot/``.
        """
        prefix = "linux-binary-"
        package = self.package
        if package.startswith(prefix):
            package = f"linux-base-{package.removeprefix(prefix)}"
        return PackageQuery(package, self.suite, self.version)


class FirmwareFile(_Strict):
    """A file ``ovmf-builds/*.yaml``."""

    firmware: Annotated[tuple[FirmwareRecipe, ...], Field(min_length=1)]


class KernelFile(_Strict):
    """The file ``guest-images/kernels.yaml``."""

    kernels: Annotated[tuple[KernelRecipe, ...], Field(min_length=1)]


R = TypeVar("R", FirmwareRecipe, KernelRecipe)
F = TypeVar("F", FirmwareFile, KernelFile)


@dataclass(frozen=True)
class Catalog:
    """All recipes of a project, by name, in the order of their files."""

    firmware: Mapping[str, FirmwareRecipe]
    kernels: Mapping[str, KernelRecipe]

    def firmware_recipe(self, name: str) -> FirmwareRecipe:
        """Return a firmware recipe; HarnessError with names that look like an unknown one."""
        return _lookup("firmware", self.firmware, name)

    def kernel_recipe(self, name: str) -> KernelRecipe:
        """Return a kernel recipe; HarnessError with names that look like an unknown one."""
        return _lookup("kernel", self.kernels, name)

    def queries(self) -> tuple[PackageQuery, ...]:
        """List the packages of all recipes, each once: what the lock file has to hold."""
        wanted = [firmware.query() for firmware in self.firmware.values()]
        for kernel in self.kernels.values():
            wanted += [kernel.query(), kernel.config_query()]
        return tuple(dict.fromkeys(wanted))

    def known(self) -> Known:
        """Return the names that scenarios may use."""
        return Known(frozenset(self.firmware), frozenset(self.kernels))


def load_catalog(project: Path = PROJECT) -> Catalog:
    """Read all recipes of a project; ``YamlError`` with the mistakes of all files."""
    problems: list[Problem] = []
    firmware = _load_all(sorted((project / "ovmf-builds").glob("*.yaml")), FirmwareFile, problems)
    kernels = _load_all([project / "guest-images" / "kernels.yaml"], KernelFile, problems)
    firmware_places = [(doc, "firmware", doc.model.firmware) for doc in firmware]
    kernel_places = [(doc, "kernels", doc.model.kernels) for doc in kernels]
    catalog = Catalog(_by_name(firmware_places, problems), _by_name(kernel_places, problems))
    if problems:
        raise YamlError(problems)
    return catalog


def _load_all(paths: Iterable[Path], model: type[F], problems: list[Problem]) -> list[Document[F]]:
    documents = []
    for path in paths:
        try:
            documents.append(load_document(path, model))
        except YamlError as error:
            problems += error.problems
    return documents


def _by_name(
    files: Iterable[tuple[Document[Any], str, tuple[R, ...]]], problems: list[Problem]
) -> Mapping[str, R]:
    """Index the recipes of ``files`` (each with the key above them) by name; a taken name is a problem."""
    result: dict[str, R] = {}
    places: dict[str, str] = {}
    for document, key, recipes in files:
        for number, recipe in enumerate(recipes):
            at = (key, number, "name")
            if recipe.name in result:
                message = f"the name {recipe.name!r} is taken by the recipe at {places[recipe.name]}"
                problems.append(document.problem_at(at, message))
            else:
                result[recipe.name] = recipe
                places[recipe.name] = document.where(at)
    return MappingProxyType(result)


def _lookup(kind: str, recipes: Mapping[str, R], name: str) -> R:
    try:
        return recipes[name]
    except KeyError:
        raise HarnessError(f"unknown {kind} {name!r}", near(name, recipes)) from None
