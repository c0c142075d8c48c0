# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A developer's build tree, made of a packaged kernel: it boots, and its modules load."""

from __future__ import annotations

import shutil
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.kernel.files import BZIMAGE, kernel_files, modules_folders
from harness.evidence.record import EndingKind
from harness.formats.cpio import CpioEntry, cpio_archive
from harness.matrix.cell import Cell
from harness.recipes.kernel import KernelRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.evidence.evidence import Evidence
    from harness.machine.spec import MachineSpec

pytestmark = pytest.mark.qemu

PACKAGED = "debian-6.12"
WANTED = ("ext4", "sev-guest", "virtio-pci")
ACTION = r"""
b=/bin/busybox
for module in /modules/*; do $b insmod $module; done
echo "\"loaded\":\"$($b awk '{ printf "%s ", $1 }' /proc/modules)\""
"""


def build_tree(root: Path, ingredients: Ingredients) -> Path:
    """Lay a packaged kernel's files out as ``make bzImage modules`` leaves them."""
    recipe = ingredients.kernel_recipe(PACKAGED)
    assert isinstance(recipe, KernelRecipe)
    files = kernel_files(recipe, ingredients.apt, ingredients.lock)
    installed, lists = modules_folders(recipe, ingredients.apt, ingredients.lock)
    assert files.config is not None
    (root / "include/config").mkdir(parents=True)
    (root / "include/config/kernel.release").write_text(f"{installed.name}\n")
    (root / ".config").write_text(files.config)
    (root / BZIMAGE).parent.mkdir(parents=True)
    shutil.copy(files.image, root / BZIMAGE)
    names = (lists / "modules.order").read_text().split()
    (root / "modules.order").write_text("".join(f"{name.removeprefix('kernel/')[:-3]}.o\n" for name in names))
    shutil.copy(lists / "modules.builtin", root)
    built = {path.stem[4:]: path for path in ingredients.modules(PACKAGED, WANTED)}
    for name in names:
        place = root / name.removeprefix("kernel/")
        if path := built.get(place.stem.replace("-", "_")):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return root


@pytest.fixture
def cell(ingredients: Ingredients, tmp_path: Path) -> Cell:
    """Return a cell whose kernel is a build tree, which no scenario could name."""
    name = ingredients.choose_kernel(f"tree:{build_tree(tmp_path / 'linux', ingredients)}")
    return Cell("debian-2025.02", name, "direct", 2048, "snp-emulated")


@pytest.fixture
def spec(spec: MachineSpec, cell: Cell, ingredients: Ingredients, tmp_path: Path) -> MachineSpec:
    """Return the cell's machine with the tree's modules, and the action that loads them, in its initramfs."""
    entries = [
        CpioEntry("actions/load-modules", stat.S_IFREG | 0o755, ACTION.encode()),
        CpioEntry("modules", stat.S_IFDIR | 0o755),
        *(
            CpioEntry(f"modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes())
            for path in ingredients.modules(cell.kernel, WANTED)
        ),
    ]
    initrd = tmp_path / "initrd"
    initrd.write_bytes(ingredients.initrd.read_bytes() + cpio_archive(entries))
    return replace(spec, initrd=initrd, cmdline=f"{spec.cmdline} harness.actions=load-modules")


def test_a_build_tree_boots_and_its_modules_load(
    evidence: Evidence, spec: MachineSpec, tmp_path: Path
) -> None:
    assert spec.kernel == tmp_path / "linux" / BZIMAGE
    assert evidence.record.ending.kind is EndingKind.COMPLETED
    assert evidence.guest.kernel.release == evidence.traits.kernel.version
    (report,) = evidence.actions
    assert report.errors == ""
    assert set(report.result["loaded"].split()) >= {"ext4", "jbd2", "mbcache", "sev_guest", "tsm"}
