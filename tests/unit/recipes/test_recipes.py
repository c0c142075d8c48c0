# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Recipes of firmware and kernels: the ones the project ships, and mistakes in new ones."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from harness.debian.index import PackageQuery
from harness.documents.document import YamlError
from harness.errors import HarnessError
from harness.paths import Project
from harness.recipes.catalog import Catalog, load_catalog
from harness.recipes.kernel import KernelRecipe

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[..., Catalog]

KERNELS = "kernels:\n  - {name: k, source: {prebuilt: {package: linux-image-1, suite: trixie}}}\n"
FIRMWARE = """\
firmware:
  - name: f
    source: {prebuilt: {package: ovmf, suite: trixie, path: usr/share/ovmf/OVMF.fd}}
"""

# Package names as Debian's indexes list them.
PACKAGES = """
linux-image-5.10.0-30-amd64 linux-image-5.10.0-30-cloud-amd64 linux-image-5.10.0-30-rt-amd64
linux-image-5.10.0-30-amd64-dbg linux-image-5.10.0-30-amd64-unsigned linux-image-5.10-amd64
linux-image-6.1.0-50-amd64 linux-image-6.1.0-50-cloud-amd64 linux-image-6.1.0-50-rt-amd64-dbg
linux-image-6.12.90+deb13.1-amd64 linux-image-6.12.117+deb13-amd64 linux-image-6.12.117+deb13-rt-amd64
linux-image-6.12.117+deb13-cloud-amd64 linux-image-6.12.117+deb13-amd64-unsigned linux-image-amd64
linux-image-7.2.12+deb13-amd64 linux-binary-7.2.12+deb13-amd64 linux-binary-7.2.12+deb13-rt-amd64
linux-binary-7.2.12+deb13-cloud-amd64 linux-binary-unsigned-7.2.12+deb13-amd64
linux-binary-7.3.4+deb13-amd64 linux-base-7.2.12+deb13-amd64 linux-base-7.2.12+deb13-cloud-amd64
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make a project with these recipe files."""
    monkeypatch.chdir(tmp_path)

    def make(kernels: str = KERNELS, **firmware: str) -> Catalog:
        for name, text in {"guest-images/kernels": kernels, **(firmware or {"a": FIRMWARE})}.items():
            path = tmp_path / (f"{name}.yaml" if "/" in name else f"ovmf-builds/{name}.yaml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return load_catalog(Project((tmp_path,)))

    return make


def heads(error: pytest.ExceptionInfo[YamlError]) -> list[str]:
    return [
        line for line in str(error.value).splitlines() if line.startswith(("ovmf-builds", "guest-images"))
    ]


def test_shipped_recipes() -> None:
    catalog = load_catalog()
    lines = ("5.10", "6.1", "6.12", "6.16", "6.18", "6.19", "7.0", "7.2", "7.3")
    assert {f"debian-{line}" for line in lines} <= set(catalog.kernels)
    assert {"debian-2022.11", "debian-2025.02", "debian-2026.08"} <= set(catalog.firmware)
    firmware = catalog.firmware_recipe("debian-2025.02")
    assert firmware.queries() == (PackageQuery("ovmf", "trixie", "2025.02-*"),)
    prebuilt = firmware.source.prebuilt
    assert prebuilt is not None
    assert prebuilt.path == "usr/share/ovmf/OVMF.fd"
    assert fnmatchcase("2025.02-8+deb13u1", "2025.02-*")
    assert catalog.known().names("kernel") == frozenset(catalog.kernels)


@pytest.mark.parametrize(
    ("name", "vmlinuz", "config"),
    [
        ("debian-5.10", ["linux-image-5.10.0-30-amd64"], ["linux-image-5.10.0-30-amd64"]),
        ("debian-6.1", ["linux-image-6.1.0-50-amd64"], ["linux-image-6.1.0-50-amd64"]),
        (
            "debian-6.12",
            ["linux-image-6.12.90+deb13.1-amd64", "linux-image-6.12.117+deb13-amd64"],
            ["linux-image-6.12.90+deb13.1-amd64", "linux-image-6.12.117+deb13-amd64"],
        ),
        ("debian-7.2", ["linux-binary-7.2.12+deb13-amd64"], ["linux-base-7.2.12+deb13-amd64"]),
        ("debian-7.3", ["linux-binary-7.3.4+deb13-amd64"], []),
    ],
)
def test_kernel_globs_leave_out_flavours(name: str, vmlinuz: list[str], config: list[str]) -> None:
    recipe = load_catalog().kernel_recipe(name)
    assert isinstance(recipe, KernelRecipe)
    prebuilt = recipe.source.prebuilt
    assert prebuilt is not None
    for query, wanted in ((prebuilt.query(), vmlinuz), (prebuilt.config_query(), config)):
        assert query is not None
        assert [package for package in PACKAGES.split() if fnmatchcase(package, query.package)] == wanted


def test_a_kernel_whose_config_is_gone() -> None:
    recipe = load_catalog().kernel_recipe("debian-7.0")
    assert isinstance(recipe, KernelRecipe)
    assert recipe.queries() == (PackageQuery("linux-binary-7.0.*[0-9]-amd64", "trixie-backports"),)


def test_queries_hold_every_package_once(project: Make) -> None:
    catalog = project(
        kernels="kernels:\n  - {name: k1, source: {prebuilt: {package: linux-image-1, suite: trixie}}}\n"
        "  - {name: k2, source: {prebuilt: {package: linux-binary-2.*, suite: sid, version: 2-1}}}\n"
        "  - {name: k3, source: {prebuilt: {package: linux-image-1, suite: trixie}}}\n"
    )
    assert catalog.queries() == (
        PackageQuery("ovmf", "trixie"),
        PackageQuery("linux-image-1", "trixie"),
        PackageQuery("linux-binary-2.*", "sid", "2-1"),
        PackageQuery("linux-base-2.*", "sid", "2-1"),
        PackageQuery("linux-modules-2.*", "sid", "2-1"),
    )


def test_unknown_names_come_with_near_ones() -> None:
    catalog = load_catalog()
    with pytest.raises(HarnessError, match=r"unknown kernel 'debian-6.2'\n  did you mean '[^?]*debian-6.12'"):
        catalog.kernel_recipe("debian-6.2")
    with pytest.raises(HarnessError, match=r"unknown firmware 'zzz'\n  known: .*debian-2025.02"):
        catalog.firmware_recipe("zzz")


def test_mistakes_of_all_files_at_once(project: Make) -> None:
    with pytest.raises(YamlError) as caught:
        project(
            kernels=(
                "kernels:\n  - {name: K 1, source: {prebuilt: {package: linux-image-1, suite: trixy}}}\n"
                "  - {name: k2, source: {prebuilt: {pakcage: x, suite: sid}}}\n"
                "  - {name: k3, source: {file: {path: a}, tree: {path: b}}}\n"
            ),
            a=FIRMWARE.replace("prebuilt", "prebulit"),
            b=FIRMWARE.replace("path: usr", "path: /usr").replace("suite: trixie", "version: 2025.02"),
            c="firmware: []\n",
            d=FIRMWARE.replace("usr/share", "usr/../../share"),
        )
    source = "firmware[0].source"
    inside = "must be a path inside the package, such as usr/share/ovmf/OVMF.fd"
    number = 'wanted text, found the number 2025.02; quote it: "2025.02"'
    kernels, keys = "guest-images/kernels.yaml", "the keys prebuilt, file, tree"
    pattern = "string should match pattern '^[a-z0-9][a-z0-9._-]*$', found the text 'K 1'"
    assert heads(caught) == [
        f"{kernels}:2:12: kernels[0].name: {pattern}",
        f"{kernels}:2:68: kernels[0].source.prebuilt.suite: unknown suite 'trixy'; did you mean 'trixie'?",
        f"{kernels}:3:36: kernels[1].source.prebuilt: unknown key 'pakcage'; did you mean 'package'?",
        f"{kernels}:4:24: kernels[2].source: wanted exactly one of {keys}; found file and tree",
        f"ovmf-builds/a.yaml:3:14: {source}: unknown key 'prebulit'; did you mean 'prebuilt'?",
        f"ovmf-builds/b.yaml:3:24: {source}.prebuilt: missing key 'suite' (Debian suite)",
        f"ovmf-builds/b.yaml:3:49: {source}.prebuilt.version: {number}",
        f"ovmf-builds/b.yaml:3:64: {source}.prebuilt.path: '/usr/share/ovmf/OVMF.fd' {inside}",
        "ovmf-builds/c.yaml:1:11: firmware: wanted at least 1 item(s), found 0",
        f"ovmf-builds/d.yaml:3:61: {source}.prebuilt.path: 'usr/../../share/ovmf/OVMF.fd' {inside}",
    ]


def test_a_name_is_taken_once_in_all_files(project: Make) -> None:
    with pytest.raises(YamlError) as caught:
        project(kernels=KERNELS + KERNELS.partition("\n")[2], a=FIRMWARE, b=FIRMWARE)
    kernels = "guest-images/kernels.yaml"
    assert heads(caught) == [
        f"{kernels}:3:12: the name 'k' is taken by the recipe at {kernels}:2:12",
        "ovmf-builds/b.yaml:2:11: the name 'f' is taken by the recipe at ovmf-builds/a.yaml:2:11",
    ]
