# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The axis ``qemu``: from a name in a cell to the program that runs its machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.debian_qemu import SUITES, package_sets
from harness.artifacts.guest.package_set import load_set
from harness.artifacts.ingredients import Ingredients
from harness.boot.cell_machine import elsewhere, machine_spec
from harness.cli import boot, entry
from harness.errors import ExitCode, HarnessError, HostError
from harness.matrix.cell import Cell
from harness.matrix.choices import QEMUS
from harness.platforms.host import Host
from harness.recipes.catalog import load_catalog

if TYPE_CHECKING:
    from harness.run.single.boot import SingleBoot

CELL = Cell("debian-2025.02", "debian-6.12", "direct", 2048, "plain")
INGREDIENTS: Any = SimpleNamespace(
    qemu=Path("/built"),
    other_qemu=lambda name: Path("/other", name),
    catalog=load_catalog(),
    initrd_of=lambda guest: Path("/", guest),
    firmware=lambda _: SimpleNamespace(path=Path("/fd"), traits=SimpleNamespace(kernel_hashes=False)),
    kernel=lambda _: SimpleNamespace(path=Path("/k"), words=None),
)


@pytest.mark.parametrize("name", QEMUS)
def test_a_cell_names_what_runs_its_machine(name: str) -> None:
    cell = replace(CELL, qemu=name)
    spec = machine_spec(cell, INGREDIENTS, Host())
    assert spec.qemu == (Path("/built") if name == "built" else Path("/other", name))
    assert cell.id == f"{CELL.id}+qemu-{name}" if name != "built" else CELL.id


def test_only_the_projects_own_emulates() -> None:
    cell = replace(CELL, platform="snp-emulated", qemu="host")
    assert elsewhere(cell) == "snp-emulated is the project's own QEMU, so no host"
    assert elsewhere(replace(cell, qemu="built")) == elsewhere(replace(cell, platform="snp")) == ""
    with pytest.raises(HarnessError, match="so no host"):
        machine_spec(cell, INGREDIENTS, Host())


def test_the_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingredients = Ingredients()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="qemu-system-x86_64 is not installed"):
        ingredients.other_qemu("host")
    program = tmp_path / "qemu-system-x86_64"
    program.touch(0o755)
    assert ingredients.other_qemu("host") == program


def test_debians_are_locked_each_with_its_own_libc() -> None:
    found = {each.name: {it.package: it.version for it in load_set(each)} for each in package_sets()}
    assert set(found) == {f"qemu-{name}" for name in SUITES}
    assert found["qemu-debian-trixie"]["qemu-system-x86"].startswith("1:10.0.")
    assert all("libc6" in packages for packages in found.values())


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("arguments", "name", "own"),
    [
        (("platform=plain,qemu=host",), "host", ""),
        (("platform=plain", "--qemu", "debian-sid"), "debian-sid", ""),
        (("platform=plain,qemu=host", "--qemu", "built"), "built", ""),
        (("platform=plain", "--qemu", "/own/qemu"), "built", "/own/qemu"),
    ],
)
def test_a_single_boot_takes_the_cells_or_the_options(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], name: str, own: str
) -> None:
    wanted: list[SingleBoot] = []

    def prepare(_session: object, asked: SingleBoot) -> None:
        wanted.append(asked)
        raise HarnessError("seen")

    monkeypatch.setattr(boot, "prepare", prepare)
    cell, *options = arguments
    whole = f"firmware=debian-2025.02,kernel=debian-6.12,memory=2G,{cell}"
    assert entry.main(["boot", whole, *options]) == ExitCode.MISTAKE
    assert [(it.cell.qemu, it.own.qemu) for it in wanted] == [(name, own)]
