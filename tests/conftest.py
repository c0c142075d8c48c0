# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.loader.traits import Entry, LoaderTraits
from harness.debian.lock_file import LOCK_NAME, Lock
from harness.evidence.record import BootRecord
from harness.extensions import extensions
from harness.paths import PROJECT_FILE
from harness.platforms.registry import platforms
from harness.pytest_plugin.items import SESSION
from harness.recipes.catalog import load_catalog
from harness.run import boots, session
from harness.run.replay import TRAITS, load_traits
from tests.support.data import DATA, PROJECT
from tests.support.hosts import WITHOUT_DEV_SEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.artifacts.ingredients import Ingredients
    from harness.machine.spec import MachineSpec
    from harness.paths import Project

pytest_plugins = ["pytester"]

RECORDS = DATA / "records"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked ``nightly``, unless ``-m`` speaks of it."""
    if "nightly" in config.option.markexpr:
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    items[:] = [item for item in items if item not in nightly]
    config.hook.pytest_deselected(items=nightly)


@pytest.fixture(scope="session")
def ingredients(request: pytest.FixtureRequest) -> Ingredients:
    """Give the run's own ingredients, whose progress shows while QEMU is built."""
    return request.config.stash[SESSION].ingredients


@pytest.fixture(scope="session")
def qemu_binary(ingredients: Ingredients) -> Path:
    """Give the project's own QEMU, built when it is new."""
    return ingredients.qemu


@pytest.fixture
def pytester(pytester: pytest.Pytester) -> pytest.Pytester:
    """Give pytester's folder as a project of one's own, else the plugin stays out of its runs."""
    (pytester.path / PROJECT_FILE).write_text('name = "pytester"\n')
    return pytester


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Give a copy of two stored boots: 5.10 as an emulated SNP guest, 6.1 as a plain one."""
    return shutil.copytree(RECORDS, tmp_path / "stored-records")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder from which packages are imported, for ``tests.support.packages.install``."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    for cached in (extensions, platforms):
        cached.cache_clear()
    yield folder
    for cached in (extensions, platforms):
        cached.cache_clear()
    for name in [name for name in sys.modules if (folder / f"{name}.py").exists()]:
        del sys.modules[name]


@dataclass
class StandIns:
    """What replaces ingredients and boots: a boot leaves a copy of a stored record, or fails."""

    booted: list[str] = field(default_factory=list)
    """Cells, in the order of their boots."""
    built: list[str] = field(default_factory=list)
    """Ingredients that were asked for, each time."""
    failures: dict[str, Exception] = field(default_factory=dict)
    """By ingredient (``qemu``, ``debian-6.1``) or by cell."""
    in_boot: Callable[[], object] = lambda: None

    def fetch(self, name: str) -> str:
        self.built.append(name)
        if name in self.failures:
            raise self.failures[name]
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


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """Let sessions of this process boot stored records on a host without /dev/sev."""
    made = StandIns()
    traits: dict[str, Any] = {}
    for path in RECORDS.iterdir():
        found = load_traits(path / TRAITS)
        firmware, kernel, *_ = path.name.split("+")
        traits |= {firmware: found.firmware, kernel: found.kernel}

    class Fake:
        catalog = load_catalog()
        lock = Lock.load(PROJECT / LOCK_NAME)

        def lock_of(self, _axis: str, _name: str) -> Lock:
            return self.lock

        def __init__(self, _project: Project, progress: Callable[[str], None]) -> None:
            self.progress = progress

        def firmware(self, name: str) -> object:
            return SimpleNamespace(path=Path("/", made.fetch(name)), traits=traits[name], words=None)

        kernel = firmware

        def loader(self, name: str) -> object:
            entry: Entry = "legacy" if name.startswith("grub-2.06") else "efi-stub"
            told = LoaderTraits("", entry, "legacy", "none", passes_cmdline=name != "boot-file")
            return SimpleNamespace(traits=told)

        @property
        def qemu(self) -> Path:
            self.progress("building QEMU")
            return Path("/", made.fetch("qemu"))

        @property
        def initrd(self) -> Path:
            return Path("/", made.fetch("initrd"))

        def initrd_of(self, guest: str) -> Path:
            return Path("/", guest)

    monkeypatch.setattr(session, "Ingredients", Fake)
    monkeypatch.setattr(boots, "boot", made.boot)
    monkeypatch.setattr(session, "survey", lambda **_: WITHOUT_DEV_SEV)
    return made


@pytest.fixture
def edit_index() -> Callable[..., None]:
    """Change fields of a record's outcome."""

    def edit(record: Path, **outcome: str) -> None:
        path = record / "boot.json"
        index = json.loads(path.read_text())
        index["outcome"] |= outcome
        path.write_text(json.dumps(index))

    return edit
