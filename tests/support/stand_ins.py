# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What takes the place of ingredients and boots, so that sessions run from stored records."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness.artifacts.loader.choice import choose_loader
from harness.artifacts.loader.traits import Entry, LoaderTraits
from harness.debian.lock_file import LOCK_NAME, Lock
from harness.evidence.record import BootRecord
from harness.recipes.catalog import load_catalog
from harness.run.replay import TRAITS, load_traits
from harness.store.asking import NotMadeError
from tests.support.data import DATA, PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.checks.finding import Finding
    from harness.machine.spec import MachineSpec
    from harness.paths import Project
    from harness.recipes.catalog import AnyKernel
    from harness.recipes.firmware import FirmwareRecipe
    from harness.recipes.loader import LoaderRecipe
    from harness.run.cell_run import CellRun
    from harness.store.entries import Store

RECORDS = DATA / "records"


@dataclass
class StandIns:
    """What replaces ingredients and boots: a boot leaves a copy of a stored record, or fails."""

    booted: list[str] = field(default_factory=list)
    """Cells, in the order of their boots."""
    built: list[str] = field(default_factory=list)
    """Ingredients that somebody wanted, each time."""
    looked_up: list[str] = field(default_factory=list)
    """Ingredients that a session asked for which makes nothing; it finds those of stored boots."""
    failures: dict[str, Exception] = field(default_factory=dict)
    """By ingredient (``qemu``, ``debian-6.1``) or by cell."""
    in_boot: Callable[[], object] = lambda: None
    missing: set[str] = field(default_factory=set)
    """Ingredients that no store has before who makes wants them."""
    in_making: Callable[[str], object] = lambda _: None

    def fetch(self, name: str, *, making: bool = True) -> str:
        (self.built if making else self.looked_up).append(name)
        if not making and name in self.missing:
            raise NotMadeError(f"{name}: never made before", Path("/", name))
        if name in self.missing:
            self.in_making(name)
        if name in self.failures:
            raise self.failures[name]
        self.missing.discard(name)
        return name

    def boot(
        self, spec: MachineSpec, folder: Path, *, cell_id: str, platform: str, **_: object
    ) -> BootRecord:
        assert spec.confidential is None or platform == "snp-emulated"
        self.booted.append(cell_id)
        self.in_boot()
        if cell_id in self.failures:
            raise self.failures[cell_id]
        shutil.copytree(RECORDS / cell_id, folder, dirs_exist_ok=True)
        return replace(BootRecord.load(folder), path=folder)


class StandInIngredients:
    """The project's recipes, and for the stored boots' firmware and kernels their traits."""

    catalog = load_catalog()
    lock = Lock.load(PROJECT / LOCK_NAME)

    def __init__(
        self, made: StandIns, _project: Project | None, progress: Callable[[str], None], store: Store | None
    ) -> None:
        self.progress = progress
        self._made = made
        self._making = store is None
        self._traits: dict[str, Any] = {}
        for path in RECORDS.iterdir():
            found = load_traits(path / TRAITS)
            firmware, kernel, *_ = path.name.split("+")
            self._traits |= {firmware: found.firmware, kernel: found.kernel}

    def with_store(self, store: Store) -> StandInIngredients:
        return StandInIngredients(self._made, None, self.progress, store)

    def for_thread(self, progress: Callable[[str], None]) -> StandInIngredients:
        return StandInIngredients(self._made, None, progress, None)

    def lock_of(self, _axis: str, _name: str) -> Lock:
        return self.lock

    def _fetch(self, name: str) -> Path:
        return Path("/", self._made.fetch(name, making=self._making))

    def firmware(self, name: str) -> object:
        path = self._fetch(name)
        if not self._making and name not in self._traits:
            raise NotMadeError(f"{name}: never made before", Path("/", name))
        return SimpleNamespace(path=path, traits=self._traits[name], words=None, require=lambda *_: None)

    kernel = firmware

    def firmware_recipe(self, name: str) -> FirmwareRecipe:
        return self.catalog.firmware_recipe(name)

    def kernel_recipe(self, name: str) -> AnyKernel:
        return self.catalog.kernel_recipe(name)

    def choose_firmware(self, text: str) -> str:
        return self.catalog.firmware_recipe(text).name

    def choose_kernel(self, text: str) -> str:
        return self.catalog.kernel_recipe(text).name

    def choose_loader(self, text: str) -> str:
        return choose_loader(text, self.catalog).name

    def loader_recipe(self, name: str) -> LoaderRecipe:
        return self.catalog.loader_recipe(name)

    def loader(self, name: str) -> object:
        entry: Entry = "legacy" if name.startswith("grub-2.06") else "efi-stub"
        told = LoaderTraits("", entry, "legacy", "none", passes_cmdline=name != "boot-file")
        return SimpleNamespace(traits=told)

    @property
    def qemu(self) -> Path:
        self.progress("building QEMU")
        return self._fetch("qemu")

    @property
    def initrd(self) -> Path:
        return self._fetch("initrd")

    def initrd_of(self, guest: str) -> Path:
        return Path("/", guest)

    guest_disk = initrd_of


def found(run: CellRun) -> list[Finding]:
    """Return what the checks that can ask the cell find wrong."""
    return [
        finding
        for check in run.checks
        if not check.not_applicable(run.cell.platform, run.traits)
        for finding in check(run.evidence)
    ]
