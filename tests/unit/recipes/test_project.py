# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Projects of one's own: their file, and names that are looked up in several of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness import paths
from harness.artifacts.debian_qemu import package_sets
from harness.artifacts.guest.initramfs import BUSYBOX
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.probe import SOURCES
from harness.artifacts.qemu import qemu_inputs
from harness.debian.archive import AptRoot
from harness.debian.lock_file import LOCK_NAME, Lock, update
from harness.documents.document import YamlError
from harness.errors import HarnessError
from harness.paths import SHIPPED, Project
from harness.recipes.catalog import load_catalog
from harness.recipes.project import find_project
from harness.recipes.qemu import load_qemu
from harness.recipes.versions import versions
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KERNELS = """\
kernels:
  - name: NAME
    source: {prebuilt: {package: "linux-image-6.12.*[0-9]-amd64", suite: trixie}}
"""
FIRMWARE = """\
firmware:
  - {name: mine, extends: stock-2025.02, defines: {MINE: true}}
"""
LOADERS = """\
loaders:
  - {name: mine, kind: {grub: {image: grub-2.12, timeout: 3}}}
"""
GUESTS = "guests: [{name: NAME, suite: trixie, packages: [hello]}]\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """Write a project's files, and find it."""
    monkeypatch.chdir(tmp_path)

    def write(toml: str = 'name = "lab"\n', **files: str) -> Project:
        for name, text in {"harness.toml": toml, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return find_project(tmp_path)

    return write


def test_without_a_file_there_is_what_is_shipped(tmp_path: Path) -> None:
    project = find_project(tmp_path)
    assert (project.roots, project.file, project.own) == ((SHIPPED,), None, SHIPPED)
    assert (project.scenarios, project.out) == (SHIPPED / "scenarios", tmp_path / "out")


def test_the_file_is_found_from_below(own: Any, tmp_path: Path) -> None:
    project = own('name = "lab"\nscenarios = "cells"\nout = "../results"\n')
    (tmp_path / "a/b").mkdir(parents=True)
    assert find_project(tmp_path / "a/b") == project
    assert (project.name, project.own, project.roots) == ("lab", tmp_path, (tmp_path, SHIPPED))
    assert (project.scenarios, project.out) == (tmp_path / "cells", tmp_path.parent / "results")


def test_a_checkout_is_the_shipped_project() -> None:
    project = find_project(PROJECT / "tests")
    assert (project.roots, project.own, project.out) == ((PROJECT,), PROJECT, PROJECT / "out")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (
            'name = "lab"\nscenaros = "x"',
            "toml:2:1: unknown key 'scenaros'; did you mean 'scenarios'?",
        ),
        ('name = "My Lab"', "harness.toml:1:8: name: string should match pattern"),
        ('name = "lab"\nrecipes = ["../not-there"]', "harness.toml:2:12: recipes[0]: the folder "),
        ('name = "lab"\nout = ""', "harness.toml:2:7: out: string should have at least 1 character"),
    ],
)
def test_mistakes_in_the_file(own: Any, toml: str, said: str) -> None:
    with pytest.raises(YamlError) as caught:
        own(toml)
    assert said in str(caught.value)


def test_recipes_of_both_are_known(own: Any) -> None:
    project = own(
        **{
            "ovmf-builds/mine.yaml": FIRMWARE,
            "guest-images/kernels.yaml": KERNELS.replace("NAME", "lab-6.12"),
            "guest-images/loaders.yaml": LOADERS,
            "guest-images/guests.yaml": GUESTS.replace("NAME", "lab-guest"),
            "guest-images/initramfs/actions/hello": "# hello: says so.\n#\n# needs CONFIG_NET\necho\n",
            "guest-images/debian/actions/greet": "echo\n",
        }
    )
    catalog = load_catalog(project)
    shipped = load_catalog()
    assert set(catalog.firmware) - set(shipped.firmware) == {"mine"}
    assert catalog.firmware["mine"].source == shipped.firmware["stock-2025.02"].source
    assert set(catalog.kernels) - set(shipped.kernels) == {"lab-6.12"}
    assert set(catalog.loaders) - set(shipped.loaders) == {"mine"}
    assert dict(catalog.loaders["mine"].binaries) == dict(shipped.loaders["grub-2.12"].binaries)
    assert set(catalog.guests) - set(shipped.guests) == {"lab-guest"}
    assert catalog.known().action - shipped.known().action == {"hello", "greet"}
    assert catalog.actions["hello"].needs == ("CONFIG_NET",)
    assert catalog.actions["greet"].whole_system
    assert catalog.actions["kexec"] == shipped.actions["kexec"]
    assert [query.key for query in catalog.queries(project.own)] == [
        "trixie:src:edk2=2025.02-*",
        "trixie:linux-image-6.12.*[0-9]-amd64",
        "trixie:grub-efi-amd64-unsigned=2.12-*",
    ]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "guest-images/kernels.yaml",
            KERNELS.replace("NAME", "debian-6.12"),
            ":2:11: the name 'debian-6.12' is taken by the recipe at SHIPPED/guest-images/kernels.yaml:",
        ),
        (
            "ovmf-builds/x.yaml",
            FIRMWARE.replace("mine", "safe-2022.11"),
            ":2:12: the name 'safe-2022.11' is taken by the recipe at SHIPPED/ovmf-builds/series.yaml:",
        ),
        (
            "guest-images/loaders.yaml",
            LOADERS.replace("mine", "grub-2.12"),
            ":2:12: the name 'grub-2.12' is taken by the loader at SHIPPED/guest-images/loaders.yaml:",
        ),
        (
            "guest-images/loaders.yaml",
            "binaries: {grub-2.12: {package: g, suite: sid, path: g.efi}}\n" + LOADERS,
            ":1:12: the name 'grub-2.12' is taken by the binary at SHIPPED/guest-images/loaders.yaml:",
        ),
        (
            "guest-images/guests.yaml",
            GUESTS.replace("NAME", "debian-trixie"),
            ":1:17: the name 'debian-trixie' is taken by the guest at SHIPPED/guest-images/guests.yaml:",
        ),
        (
            "guest-images/loaders.yaml",
            LOADERS + "groups: {grub: [mine]}\n",
            ":3:10: the group 'grub' is at SHIPPED/guest-images/loaders.yaml:",
        ),
        (
            "guest-images/initramfs/actions/hog",
            "echo\n",
            ": there is SHIPPED/guest-images/initramfs/actions/hog, too\n  rename the own one",
        ),
        (
            "guest-images/debian/actions/snp",
            "echo\n",
            ": there is SHIPPED/guest-images/debian/actions/snp, too",
        ),
    ],
)
def test_a_name_in_both_names_both_files(own: Any, file: str, text: str, said: str) -> None:
    project = own(**{file: text})
    with pytest.raises(HarnessError) as caught:
        load_catalog(project)
    assert f"{file}{said.replace('SHIPPED', str(SHIPPED))}" in str(caught.value)


def test_the_one_qemu_and_probe_are_the_shipped_ones(own: Any) -> None:
    project = own()
    assert load_qemu(project) == load_qemu()
    assert qemu_inputs(load_qemu(project), Lock.load(SHIPPED / LOCK_NAME), project) == qemu_inputs(
        load_qemu(), Lock.load(SHIPPED / LOCK_NAME)
    )
    project = own(**{"qemu-builds/qemu.yaml": "qemu: {}\n", "guest-images/efi-probe/probe.c": ""})
    for path in ("qemu-builds/qemu.yaml", SOURCES):
        with pytest.raises(HarnessError, match=rf"/{path}: there is {SHIPPED}/{path}, too\n"):
            project.one(path)


def test_further_folders(own: Any, tmp_path: Path) -> None:
    toml = 'name = "lab"\nrecipes = ["../team"]\n'
    (tmp_path.parent / "team/ovmf-builds").mkdir(parents=True)
    (tmp_path.parent / "team/ovmf-builds/x.yaml").write_text(FIRMWARE.replace("mine", "theirs"))
    project = own(toml, **{"ovmf-builds/x.yaml": FIRMWARE.replace("stock-2025.02", "theirs")})
    assert project.roots == (tmp_path, tmp_path.parent / "team", SHIPPED)
    assert load_catalog(project).firmware["mine"].options.defines == (("MINE", "TRUE"),)


def test_alone(own: Any) -> None:
    project = own('name = "lab"\nshipped = false\n', **{"ovmf-builds/x.yaml": FIRMWARE})
    with pytest.raises(YamlError, match=r"unknown firmware 'stock-2025.02'"):
        load_catalog(project)
    with pytest.raises(HarnessError, match=r"there is no qemu-builds/qemu.yaml in .*\n.*`shipped = false`"):
        load_qemu(project)


LOCKED = {
    "package": "linux-image-6.12.999-amd64",
    "version": "6.12.999-1",
    "architecture": "amd64",
    "suite": "trixie",
    "sha256": "0" * 64,
    "size": 1,
    "filename": "pool/x.deb",
}


def test_each_recipe_has_the_lock_of_its_folder(own: Any) -> None:
    """The same query in both: the own lock is about own recipes and falls back to the shipped one."""
    query = "trixie:linux-image-6.12.*[0-9]-amd64"
    recipes = {
        "guest-images/kernels.yaml": KERNELS.replace("NAME", "lab-6.12"),
        "ovmf-builds/mine.yaml": FIRMWARE,
        LOCK_NAME: yaml.safe_dump({query: LOCKED}),
    }
    ingredients = Ingredients(own(**recipes))
    shipped = Lock.load(SHIPPED / LOCK_NAME)
    wanted = ingredients.catalog.kernel_recipe("lab-6.12").queries()[0]
    assert ingredients.lock_of("kernel", "lab-6.12").require(wanted).version == "6.12.999-1"
    assert ingredients.lock_of("kernel", "debian-6.12").require(wanted) == shipped.require(wanted)
    edk2 = ingredients.catalog.firmware_recipe("mine").queries()[0]
    assert ingredients.lock_of("firmware", "mine").require(edk2) == shipped.require(edk2)
    assert ingredients.base_lock.versions == shipped.versions
    found = versions(ingredients.catalog, ingredients.lock_of)["kernel"]
    assert found["lab-6.12"] == (6, 12, 999)
    assert found["debian-6.12"] != (6, 12, 999)


def test_only_the_own_lock_is_renewed(own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = {
        "guest-images/kernels.yaml": KERNELS.replace("NAME", "lab-6.12"),
        "guest-images/guests.yaml": GUESTS.replace("NAME", "lab-guest"),
    }
    ingredients = Ingredients(own(**recipes))
    assert ingredients.lock_file == tmp_path / LOCK_NAME
    assert [query.key for query in ingredients.queries()] == ["trixie:linux-image-6.12.*[0-9]-amd64"]
    assert [guest.name for guest in ingredients.own_guests()] == ["lab-guest"]
    here = Ingredients(find_project(PROJECT))
    assert BUSYBOX in here.queries()
    qemus = [it.name for it in package_sets(here.project)]
    assert [it.name for it in here.own_guests()] == [*here.catalog.guests, *qemus]
    monkeypatch.setattr(paths, "_INSTALLED", SHIPPED)  # as in a wheel
    assert ingredients.lock_file == tmp_path / LOCK_NAME
    with pytest.raises(HarnessError, match=r"no lock file can be renewed here.*\n.*harness init DIR"):
        _ = Ingredients(find_project(tmp_path.parent)).lock_file


def test_a_lock_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(HarnessError, match=r"cannot be written\n  renew it where you may write"):
        update([], AptRoot("http://127.0.0.1:9/debian"), tmp_path / LOCK_NAME)
