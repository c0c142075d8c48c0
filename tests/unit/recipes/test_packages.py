# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Packages laid out as projects: what they hold is added to every project of the environment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.ingredients import Ingredients
from harness.debian.lock_file import LOCK_NAME, Lock
from harness.errors import HarnessError
from harness.paths import SHIPPED
from harness.recipes.catalog import load_catalog
from harness.recipes.project import find_project
from tests.support.packages import install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRMWARE = "firmware: [{name: NAME, extends: stock-2025.02, defines: {TEAM: true}}]\n"


@pytest.fixture
def team(site: Path) -> Iterator[Path]:
    """Install a package with firmware, an action and a lock file."""
    folder = site / "team_recipes"
    for name, text in {
        "__init__.py": "",
        "ovmf-builds/team.yaml": FIRMWARE.replace("NAME", "team-2025.02"),
        "guest-images/initramfs/actions/salute": "echo\n",
        LOCK_NAME: (SHIPPED / LOCK_NAME).read_text().replace("2025.02-8", "2025.02-99"),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    install(site, "team-recipes", "projects", "team = team_recipes")
    yield folder
    sys.modules.pop("team_recipes", None)


def test_every_project_has_them(team: Path, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/harness.toml").write_text('name = "lab"\n')
    plain, lab = find_project(tmp_path), find_project(tmp_path / "lab")
    assert (plain.roots, plain.own) == ((team, SHIPPED), SHIPPED)
    assert (lab.roots, lab.own) == ((tmp_path / "lab", team, SHIPPED), tmp_path / "lab")
    for project in (plain, lab):
        ingredients = Ingredients(project)
        assert ingredients.catalog.firmware["team-2025.02"].options.defines == (("TEAM", "TRUE"),)
        assert "salute" in ingredients.catalog.known().action
        (query,) = ingredients.catalog.firmware["team-2025.02"].queries()
        assert ingredients.lock_of("firmware", "team-2025.02").require(query).version.startswith("2025.02-99")
        assert ingredients.base_lock.versions == Lock.load(SHIPPED / LOCK_NAME).versions


def test_a_clash_names_both_files(team: Path, tmp_path: Path) -> None:
    (tmp_path / "lab/ovmf-builds").mkdir(parents=True)
    (tmp_path / "lab/harness.toml").write_text('name = "lab"\n')
    (tmp_path / "lab/ovmf-builds/own.yaml").write_text(FIRMWARE.replace("NAME", "team-2025.02"))
    with pytest.raises(HarnessError) as caught:
        load_catalog(find_project(tmp_path / "lab"))
    assert "own.yaml:1:19: the name 'team-2025.02' is taken by the recipe at " in str(caught.value)
    assert f"{team}/ovmf-builds/team.yaml:1:19" in str(caught.value)


def test_a_package_without_a_folder(site: Path, tmp_path: Path) -> None:
    (site / "one_module.py").write_text("X = 1\n")
    install(site, "one-module", "projects", "one = one_module")
    with pytest.raises(HarnessError, match=r"projects: 'one' is .*, which is no package with a folder"):
        find_project(tmp_path)


def test_one_that_cannot_be_imported(site: Path, tmp_path: Path) -> None:
    (site / "broken_recipes").mkdir()
    (site / "broken_recipes/__init__.py").write_text("import nowhere_to_be_found\n")
    install(site, "broken-recipes", "projects", "broken = broken_recipes")
    said = (
        r"/broken_recipes/__init__.py:1: projects: 'broken' \(broken_recipes of broken-recipes\) cannot be "
    )
    with pytest.raises(HarnessError, match=said):
        find_project(tmp_path)
