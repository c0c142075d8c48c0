# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

import json
import shutil
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from harness.checks.asked import checks, own_checks
from harness.extensions import extensions
from harness.paths import PROJECT_FILE
from harness.platforms.registry import platforms
from harness.pytest_plugin.cell_items import SESSION
from harness.run import boots, session
from harness.run.host.leases import SETTING
from tests.support.hosts import WITHOUT_DEV_SEV
from tests.support.pytest_runs import PLAIN, TWO, run
from tests.support.stand_ins import RECORDS, StandInIngredients, StandIns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

pytest_plugins = ["pytester"]

_BOOTS_END = 30.0
"""Seconds until the last stand-in of a boot has ended; they copy a folder."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked ``nightly``, unless ``-m`` speaks of it."""
    if "nightly" in config.option.markexpr:
        return
    tests = (item for item in items if isinstance(item, pytest.Function))  # scenarios have it as a tag
    nightly = [item for item in tests if item.get_closest_marker("nightly")]
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
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Give pytester's folder as a project of one's own, else the plugin stays out of its runs.

    It is the root of those runs: where they name records of another folder, pytest would take what both are
    in, and look at what each test before has left there.
    """
    (pytester.path / PROJECT_FILE).write_text('name = "pytester"\n')
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--rootdir={pytester.path}")
    return pytester


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Give a copy of two stored boots: 5.10 as an emulated SNP guest, 6.1 as a plain one."""
    return shutil.copytree(RECORDS, tmp_path / "stored-records")


@pytest.fixture
def scenario(pytester: pytest.Pytester, stand_ins: StandIns) -> Callable[[str], Path]:
    """Write ``scenarios/s.yaml``; its boots in this process are stored ones."""
    assert stand_ins.booted == []
    path = pytester.mkdir("scenarios") / "s.yaml"

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write


@pytest.fixture
def plain_failed(
    scenario: Callable[[str], Path], pytester: pytest.Pytester, edit_index: Callable[..., None]
) -> Path:
    """Let the plain cell, whose boot is the shorter, fail in a run before; return its records."""
    scenario(TWO)
    records = shutil.copytree(RECORDS, pytester.path / "stored")
    edit_index(records / PLAIN, kind="hang", detail="no console byte for 40 s")
    result, _ = run(pytester, "scenarios", "--replay", records)
    assert result.parseoutcomes()["failed"] == 1
    return records


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder from which packages are imported, for ``tests.support.packages.install``."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    caches = (extensions, platforms, own_checks, checks)
    for cached in caches:
        cached.cache_clear()
    yield folder
    for cached in caches:
        cached.cache_clear()
    for name in [name for name in sys.modules if (folder / f"{name}.py").exists()]:
        del sys.modules[name]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIns]:
    """Let sessions of this process boot stored records on a host without /dev/sev.

    A run may end before a boot that it queued: that thread would boot in the next test's place.
    """
    made = StandIns()
    before = set(threading.enumerate())
    monkeypatch.setattr(session, "Ingredients", partial(StandInIngredients, made))
    monkeypatch.setattr(boots, "boot", made.boot)
    monkeypatch.setattr(session, "survey", lambda **_: WITHOUT_DEV_SEV)
    yield made
    for thread in set(threading.enumerate()) - before:
        thread.join(_BOOTS_END)


@pytest.fixture
def edit_index() -> Callable[..., None]:
    """Change fields of a record's outcome."""

    def edit(record: Path, **outcome: str) -> None:
        path = record / "boot.json"
        index = json.loads(path.read_text())
        index["outcome"] |= outcome
        path.write_text(json.dumps(index))

    return edit


@pytest.fixture(autouse=True, scope="session")
def leases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let tests have a place for leases of their own: they wait for nobody else on this host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SETTING, str(tmp_path_factory.mktemp("leases")))
        yield
