# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A kernel of Debian in the packages that distributions make: its own .deb, and an RPM by rpmbuild."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from typing import TYPE_CHECKING, cast

import pytest

from harness.artifacts.kernel.package import packaged_kernel
from harness.debian.archive import AptRoot, deb_file
from harness.errors import HarnessError
from harness.evidence.symbols.kernel_files import symbols_beside
from harness.formats.bzimage import read_release
from harness.formats.linux_payload import kernel_elf
from harness.store.entries import Store

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.recipes.kernel import KernelRecipe

KERNEL = "debian-6.1"
RELEASE = "6.1.0-50-amd64"
_SPEC = """\
Name: kernel-core
Version: 6.1
Release: 1
Summary: A kernel
License: GPL-2.0
BuildArch: x86_64
AutoReqProv: no
%description
A kernel.
%install
mkdir -p %{{buildroot}}/lib/modules/{release}
cp {image} %{{buildroot}}/lib/modules/{release}/vmlinuz
cp {config} %{{buildroot}}/lib/modules/{release}/config
%files
/lib/modules/{release}
"""


@pytest.fixture(scope="module")
def image(ingredients: Ingredients) -> Path:
    """Return the image of a Debian kernel; its config lies beside it."""
    return ingredients.kernel(KERNEL).path


def found_in(package: Path, apt: AptRoot) -> tuple[KernelRecipe, Path]:
    """Return the recipe of a package's kernel, and its image."""
    recipe = packaged_kernel(f"file:{package}", apt)
    assert recipe is not None
    assert recipe.source.file is not None
    return recipe, recipe.path(recipe.source.file.path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_package_of_debian(image: Path, ingredients: Ingredients) -> None:
    source = cast("KernelRecipe", ingredients.kernel_recipe(KERNEL)).source.prebuilt
    assert source is not None
    package = deb_file(ingredients.apt.download(ingredients.lock.require(source.query())))
    recipe, kernel = found_in(package, ingredients.apt)
    assert digest(kernel) == digest(image)
    assert (kernel.parent / f"config-{RELEASE}").is_file()
    assert recipe.source.file is not None
    assert str(recipe.source.file.modules).endswith(f"/lib/modules/{RELEASE}")
    content = kernel.read_bytes()
    assert read_release(content) == RELEASE
    symbols = symbols_beside(kernel, content, kernel_elf(content))
    assert symbols.path is None, "Debian's System.map only names a package"
    assert any(f"System.map-{RELEASE} only says that" in said for said in symbols.refused)
    assert "start_kernel" in symbols.symbols.names


@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="apt-get install rpm")
@pytest.mark.parametrize("compression", ["w3.zstdio", "w2.xzdio", "w9.gzdio"])
def test_a_package_that_rpmbuild_makes(image: Path, tmp_path: Path, compression: str) -> None:
    apt = AptRoot(progress=lambda _line: None, store=Store(tmp_path / "store"))
    config = image.with_name(f"config-{RELEASE}")
    spec = tmp_path / "kernel-core.spec"
    spec.write_text(_SPEC.format(release=RELEASE, image=image, config=config))
    command = ("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {tmp_path}")
    subprocess.run([*command, "--define", f"_binary_payload {compression}", str(spec)], check=True)
    package = next((tmp_path / "RPMS").rglob("*.rpm"))
    _, kernel = found_in(package, apt)
    assert digest(kernel) == digest(image)
    assert digest(kernel.with_name("config")) == digest(config)
    package.write_bytes(package.read_bytes()[:-100_000])
    with pytest.raises(HarnessError, match=r"payload cannot be read|cannot be unpacked"):
        found_in(package, apt)
