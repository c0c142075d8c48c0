# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The axis ``qemu``: from a name in a cell to the program that runs its machine."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.debian_qemu import SUITES, package_sets
from harness.artifacts.guest.package_set import load_set
from harness.artifacts.ingredients import Ingredients
from harness.boot import cell_machine
from harness.boot.cell_machine import elsewhere, machine_spec
from harness.cli import boot, entry
from harness.errors import ExitCode, HarnessError, HostError
from harness.matrix.cell import Cell
from harness.matrix.choices import QEMUS
from harness.matrix.values import plan_values
from harness.platforms.host import Host
from harness.platforms.qemu_answers import QemuAnswers
from harness.recipes.catalog import load_catalog
from harness.run.host.qemus import qemus
from harness.run.single.parts import Own

if TYPE_CHECKING:
    from harness.run.single.boot import SingleBoot

CELL = Cell("debian-2025.02", "debian-6.12", "direct", 2048, "plain")
INGREDIENTS: Any = SimpleNamespace(
    qemu=Path("/built"),
    other_qemu=lambda name: Path("/other", name),
    catalog=load_catalog(),
    initrd_of=lambda guest: Path("/", guest),
    firmware=lambda _: SimpleNamespace(path=Path("/fd"), traits=SimpleNamespace(kernel_hashes=False)),
    kernel=lambda _: SimpleNamespace(path=Path("/k"), words=None, require=lambda *_: None),
)


@pytest.mark.parametrize("name", QEMUS)
def test_a_cell_names_what_runs_its_machine(name: str) -> None:
    cell = replace(CELL, qemu=name)
    spec = machine_spec(cell, INGREDIENTS, Host())
    assert spec.qemu == (Path("/built") if name == "built" else Path("/other", name))
    assert cell.id == f"{CELL.id}+qemu-{name}" if name != "built" else CELL.id


@pytest.mark.parametrize(
    ("platform", "announced", "cpu"),
    [
        ("plain", True, "EPYC-v4,auto-ibrs=on"),
        ("snp-emulated", True, "EPYC-v4,auto-ibrs=on"),
        ("sev-emulated", True, "EPYC-v4,auto-ibrs=on"),
        ("plain", False, "EPYC-v4"),
        ("snp", True, "EPYC-v4"),
    ],
)
def test_guests_under_tcg_hear_that_it_does_not_speculate(
    monkeypatch: pytest.MonkeyPatch, platform: str, announced: bool, cpu: str
) -> None:
    def answer(_: Path, features: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(each for each in features if announced and each == "auto-ibrs")

    monkeypatch.setattr(cell_machine, "announced_by_tcg", answer)
    assert machine_spec(replace(CELL, platform=platform), INGREDIENTS, Host()).cpu == cpu


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


def test_one_of_your_own(tmp_path: Path) -> None:
    program = tmp_path / "qemu-system-x86_64"
    own = f"path:{program}"
    with pytest.raises(HarnessError, match=f"{own}: no such program"):
        Ingredients().other_qemu(own)
    program.touch(0o755)
    assert Ingredients().other_qemu(own) == program


def test_a_record_says_which_of_your_own_ran(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.touch(0o755)
    assert Own(qemu=str(program)).written() == {"qemu": f"file:{program}"}
    assert Own().written() == {}


def test_a_scenario_takes_one_of_your_own(tmp_path: Path) -> None:
    known = load_catalog().known()
    values = {"firmware": "debian-2025.02", "kernel": "debian-6.12", "memory": "2G", "platform": "plain"}
    own = [*QEMUS, f"path:{tmp_path}/q"]
    cells = plan_values({**values, "qemu": own}, "x", known, str).cells
    assert [cell.qemu for cell in cells] == own
    assert re.fullmatch(r".*\+qemu-path-[\w.-]+-[0-9a-f]{6}", cells[-1].id)
    with pytest.raises(HarnessError, match="write path: and an absolute path"):
        plan_values({**values, "qemu": "path:q"}, "x", known, str)
    with pytest.raises(HarnessError, match="unknown firmware 'path:/q'"):
        plan_values({**values, "firmware": "path:/q"}, "x", known, str)


def test_each_at_hand_says_what_it_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "made-up"
    program.write_text(
        '#!/bin/sh\ncase "$*" in --version) echo QEMU emulator version 11.1;;'
        ' "-object help") echo "  sev-snp-guest"; echo "  igvm-cfg";; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    monkeypatch.setenv("HARNESS_QEMU", str(tmp_path / "absent"))
    found = qemus(Ingredients(), Host())
    assert found == {
        "built": f"HARNESS_QEMU={tmp_path}/absent: no such program",
        "host": QemuAnswers("11.1", frozenset({"sev-snp-guest"}), igvm=True),
        "debian-trixie": "not in the cache",
        "debian-sid": "not in the cache",
    }


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
        (("platform=plain", "--qemu", "path:/own/qemu"), "path:/own/qemu", ""),
        (("platform=plain,qemu=path:/own/qemu",), "path:/own/qemu", ""),
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
