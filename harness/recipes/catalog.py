# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The catalog: all recipes of a project, in all folders where it looks them up, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from harness.documents.document import Document, Loc, Problem, YamlError, load_document, near
from harness.errors import HarnessError
from harness.matrix.choices import EMULATIONS, GUESTS, Known
from harness.paths import SHIPPED_PROJECT, Project
from harness.recipes.action import GuestAction, read_action
from harness.recipes.common import Located
from harness.recipes.emulation import EmulationFile, EmulationRecipe, private_mmio, whole_emulations
from harness.recipes.extends import whole_recipes
from harness.recipes.firmware import FirmwareEntry, FirmwareFile, FirmwareRecipe
from harness.recipes.groups import resolve_groups
from harness.recipes.guest import GuestFile, GuestRecipe, whole_guests
from harness.recipes.kernel import KernelEntry, KernelFile, KernelRecipe
from harness.recipes.loader import BUILT_IN, LoaderFile, LoaderRecipe, whole_loaders
from harness.recipes.probe import ProbeFile, ProbeRecipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.debian.index import PackageQuery
    from harness.matrix.cell import Cell

AnyKernel = KernelRecipe | ProbeRecipe
AnyKernelEntry = KernelEntry | ProbeRecipe
R = TypeVar("R")
E = TypeVar("E", FirmwareEntry, AnyKernelEntry)
_AXES = {
    "firmware": "firmware",
    "kernels": "kernel",
    "probes": "kernel",
    "loaders": "loader",
    "guests": "guest",
    "emulations": "emulation",
}
"""The axis of the recipes that stand below a key of a file."""
F = TypeVar("F", FirmwareFile, KernelFile, ProbeFile, LoaderFile, GuestFile, EmulationFile)


@dataclass(frozen=True)
class Catalog:
    """All recipes of a project, by name, in the order of their files."""

    firmware: Mapping[str, FirmwareRecipe]
    kernels: Mapping[str, AnyKernel]
    loaders: Mapping[str, LoaderRecipe] = field(default_factory=lambda: MappingProxyType(BUILT_IN))
    actions: Mapping[str, GuestAction] = field(default_factory=dict)
    """What guests can do: the files of ``guest-images/*/actions``."""
    guests: Mapping[str, GuestRecipe] = field(default_factory=dict)
    """Those that are a Debian, beside the initramfs guest."""
    emulations: Mapping[str, EmulationRecipe] = field(default_factory=dict)
    """Emulated hosts beside the usual one."""
    groups: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """By axis and name of the group."""
    homes: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    """By axis and name: the project's root that has the recipe. Its lock file is the recipe's."""

    def firmware_recipe(self, name: str) -> FirmwareRecipe:
        """Return a firmware recipe; HarnessError with names that look like an unknown one."""
        return _lookup("firmware", self.firmware, name)

    def kernel_recipe(self, name: str) -> AnyKernel:
        """Return the recipe of a kernel or probe; HarnessError with names that look like an unknown one."""
        return _lookup("kernel", self.kernels, name)

    def loader_recipe(self, name: str) -> LoaderRecipe:
        """Return a loader's recipe; HarnessError with names that look like an unknown one."""
        return _lookup("loader", self.loaders, name)

    def guest_recipe(self, name: str) -> GuestRecipe:
        """Return the recipe of a Debian guest; HarnessError with names that look like an unknown one."""
        return _lookup("guest", self.guests, name)

    def emulated_host(self, cell: Cell) -> Mapping[str, str]:
        """Return what the cell's emulated host has other than the usual one, in QEMU's words."""
        if cell.emulation in EMULATIONS:
            return {}
        return _lookup("emulation", self.emulations, cell.emulation).properties

    def faults_of(self, cell: Cell) -> tuple[str, ...]:
        """Return the names of what the cell's emulated host does wrong."""
        names = self.emulated_host(cell).get("host-faults", "")
        return tuple(names.split("+")) if names else ()

    def private_mmio_of(self, cell: Cell) -> Literal["ends", "goes-on"]:
        """Return what the cell's host does about accesses with the C-bit to what is no memory."""
        return private_mmio(self.emulated_host(cell))

    def actions_of(self, cell: Cell) -> tuple[GuestAction, ...]:
        """Return what a cell's guest does, in order; HarnessError for an unknown action."""
        return tuple(_lookup("action", self.actions, word.partition(":")[0]) for word in cell.action.split())

    def queries(self, home: Path | None = None) -> tuple[PackageQuery, ...]:
        """Return the packages of all recipes, or of one root's, each once: its lock file holds them."""
        axes = {"firmware": self.firmware, "kernel": self.kernels, "loader": self.loaders}
        recipes = [
            axes[axis][name]
            for (axis, name), there in self.homes.items()
            if home in {None, there} and axis in axes
        ]
        return tuple(dict.fromkeys(query for recipe in recipes for query in recipe.queries()))

    def known(self) -> Known:
        """Return the names that scenarios may use."""
        return Known(
            recipes={
                "firmware": frozenset(self.firmware),
                "kernel": frozenset(self.kernels),
                "loader": frozenset(self.loaders),
                "guest": frozenset(self.guests),
                "emulation": frozenset(self.emulations),
            },
            action=frozenset(self.actions),
            last_action=frozenset(name for name, action in self.actions.items() if action.last),
            groups=self.groups,
        )


def load_catalog(project: Project = SHIPPED_PROJECT) -> Catalog:
    """Read all recipes of a project; ``YamlError`` with the mistakes of all files."""
    problems: list[Problem] = []
    firmware = _load_all(project, "ovmf-builds/*.yaml", FirmwareFile, problems)
    kernels = _load_all(project, "guest-images/kernels.yaml", KernelFile, problems)
    probes = _load_all(project, "guest-images/efi-probe.yaml", ProbeFile, problems)
    located_firmware: dict[str, Located[FirmwareEntry]] = {}
    located_kernels: dict[str, Located[AnyKernelEntry]] = {}
    for firmware_file in firmware:
        _locate(firmware_file, "firmware", firmware_file.model.firmware, located_firmware, problems)
    for kernel_file in kernels:
        _locate(kernel_file, "kernels", kernel_file.model.kernels, located_kernels, problems)
    for probe_file in probes:
        _locate(probe_file, "probes", probe_file.model.probes, located_kernels, problems)
    whole = whole_recipes(located_firmware, problems)
    loader_files = _load_all(project, "guest-images/loaders.yaml", LoaderFile, problems)
    loaders = BUILT_IN | whole_loaders(loader_files, problems)
    guest_files = _load_all(project, "guest-images/guests.yaml", GuestFile, problems)
    guests = whole_guests(guest_files, problems)
    actions = _actions(project)
    emulation_files = _load_all(project, "qemu-builds/emulations.yaml", EmulationFile, problems)
    emulations = whole_emulations(emulation_files, {*GUESTS, *guests, *actions}, problems)
    groups = {
        "firmware": resolve_groups("firmware", firmware, located_firmware, problems),
        "kernel": resolve_groups("kernel", [*kernels, *probes], located_kernels, problems),
        "loader": resolve_groups("loader", loader_files, loaders, problems),
        "guest": resolve_groups("guest", guest_files, guests, problems),
        "emulation": resolve_groups("emulation", emulation_files, {*EMULATIONS, *emulations}, problems),
    }
    if problems:
        raise YamlError(problems)
    as_kernels = {name: _whole_kernel(located) for name, located in located_kernels.items()}
    return Catalog(
        firmware=MappingProxyType(whole),
        kernels=MappingProxyType(as_kernels),
        loaders=MappingProxyType(loaders),
        actions=MappingProxyType(actions),
        guests=MappingProxyType(guests),
        emulations=MappingProxyType(emulations),
        groups=groups,
        homes=_homes(project, [*firmware, *kernels, *probes, *loader_files, *guest_files, *emulation_files]),
    )


def _actions(project: Project) -> dict[str, GuestAction]:
    """Return the actions of all guests; HarnessError for a name that two have, or that nobody has."""
    found: dict[str, GuestAction] = {}
    for guest, whole_system in (("initramfs", False), ("debian", True)):
        for path in project.files(f"guest-images/{guest}/actions").values():
            action = read_action(path, whole_system=whole_system)
            if (first := found.setdefault(action.name, action)) is not action:
                raise HarnessError(f"{path}: the action {action.name!r} is {first.where}, too", "rename one")
    for action in found.values():
        if action.followed_by and action.followed_by not in found:
            raise HarnessError(
                f"{action.where}: followed by unknown action {action.followed_by!r}",
                near(action.followed_by, found),
            )
    return found


def _homes(project: Project, documents: Iterable[Document[Any]]) -> Mapping[tuple[str, str], Path]:
    """Return the root of each recipe by axis and name."""
    homes = {}
    for document in documents:
        home = next(root for root in project.roots if document.path.is_relative_to(root))
        for key, axis in _AXES.items():
            homes.update({(axis, recipe.name): home for recipe in getattr(document.model, key, ())})
    return MappingProxyType(homes)


def _load_all(project: Project, files: str, model: type[F], problems: list[Problem]) -> list[Document[F]]:
    documents = []
    for path in [path for root in reversed(project.roots) for path in sorted(root.glob(files))]:
        try:
            documents.append(load_document(path, model))
        except YamlError as error:
            problems += error.problems
    return documents


def _locate(
    document: Document[Any],
    key: str,
    recipes: Iterable[E],
    found: dict[str, Located[E]],
    problems: list[Problem],
) -> None:
    """Add a file's recipes, which stand below ``key``, to ``found``; a taken name is a problem."""
    for number, recipe in enumerate(recipes):
        at: Loc = (key, number)
        if recipe.name in found:
            earlier: Located[E] = found[recipe.name]
            place = earlier.document.where((*earlier.at, "name"))
            message = f"the name {recipe.name!r} is taken by the recipe at {place}"
            problems.append(document.problem_at((*at, "name"), message))
        else:
            found[recipe.name] = Located(recipe, document, at)


def _whole_kernel(located: Located[AnyKernelEntry]) -> AnyKernel:
    entry = located.recipe
    if isinstance(entry, ProbeRecipe):
        return entry
    return KernelRecipe(
        name=entry.name,
        source=entry.source,
        folder=located.document.path.parent,
        description=entry.description,
        efi_stub=entry.efi_stub,
        where=located.document.where(located.at),
    )


def _lookup(kind: str, recipes: Mapping[str, R], name: str) -> R:
    try:
        return recipes[name]
    except KeyError:
        raise HarnessError(f"unknown {kind} {name!r}", near(name, recipes)) from None
