# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The axis ``emulation``: from a name in a scenario to properties of QEMU's object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.boot.cell_machine import machine_spec
from harness.documents.document import YamlError
from harness.errors import HarnessError
from harness.matrix.cell import Cell
from harness.platforms.host import Host
from harness.recipes.catalog import load_catalog
from harness.recipes.emulation import private_mmio
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    from harness.machine.spec import MachineSpec

CELL = Cell("debian-2025.02", "debian-6.12", "direct", 2048, "snp-emulated")
SCENARIO = """\
name: hosts
description: which?
matrix:
  firmware: [debian-2025.02]
  kernel: [debian-6.12]
  memory: [2G]
  platform: [snp-emulated, plain]
  emulation: [kvm, kvm-reflect]
"""
OWN = """\
emulations:
  - {name: NAME, description: mine, properties: {PROPERTIES}}
groups: {some: [kvm, mine]}
"""


def spec(cell: Cell) -> MachineSpec:
    ingredients: Any = SimpleNamespace(
        qemu=Path("/qemu"),
        catalog=load_catalog(),
        initrd_of=lambda guest: Path("/", guest),
        firmware=lambda _: SimpleNamespace(path=Path("/fd"), traits=SimpleNamespace(kernel_hashes=False)),
        kernel=lambda _: SimpleNamespace(path=Path("/k"), words=None, require=lambda *_: None),
    )
    return machine_spec(cell, ingredients, Host())


def properties(cell: Cell) -> dict[str, str]:
    there = spec(cell).confidential
    assert there is not None
    return dict(there.properties)


def test_a_host_adds_and_replaces_properties() -> None:
    usual = properties(CELL)
    assert properties(replace(CELL, emulation="kvm-reflect")) == usual | {"reflect": "on"}
    assert properties(replace(CELL, emulation="strict")) == usual | {"validate-twice": "fatal"}
    assert properties(replace(CELL, emulation="older-host")) == usual | {"private-mmio": "report"}
    assert "private-mmio" not in usual


@pytest.mark.parametrize(
    ("emulation", "becomes"),
    [
        ("kvm", "ends"),
        ("kvm-reflect", "ends"),
        ("spec", "goes-on"),
        ("older-host", "goes-on"),
        ("older-host-2m", "goes-on"),
    ],
)
def test_what_a_host_does_about_private_mmio(emulation: str, becomes: str) -> None:
    assert load_catalog().private_mmio_of(replace(CELL, emulation=emulation)) == becomes


def test_a_property_of_ones_own_decides_what_becomes_of_private_mmio() -> None:
    assert private_mmio({"hypervisor": "spec", "private-mmio": "fatal"}) == "ends"
    assert private_mmio({"hypervisor": "kvm"}) == "ends"


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        ("plain", "+plain+spec: plain emulates nothing, so no spec"),
        ("sev-emulated", "+sev-emulated+spec: sev-emulated is the same on every emulated host, so no spec"),
        ("sev-es-emulated", ": sev-es-emulated is the same on every emulated host, so no spec"),
    ],
)
def test_what_no_emulated_host_changes_has_no_other_host(platform: str, said: str) -> None:
    """The hosts are properties of the object of SNP guests."""
    with pytest.raises(HarnessError) as caught:
        spec(replace(CELL, platform=platform, emulation="spec"))
    assert said in str(caught.value)
    spec(replace(CELL, platform=platform))


def test_cells_of_other_hosts_are_planned_where_they_are_emulated(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text("name = 'own'\n")
    path = tmp_path / "hosts.yaml"
    path.write_text(SCENARIO)
    plan = Session(Options(), find_project(tmp_path), print).plan(path)
    start = "debian-2025.02+debian-6.12+direct+2G"
    assert [cell.id for cell in plan.cells] == [
        f"{start}+snp-emulated",
        f"{start}+snp-emulated+kvm-reflect",
        f"{start}+plain",
    ]
    assert [(gone.cell.emulation, gone.reason) for gone in plan.removed] == [
        ("kvm-reflect", "plain emulates nothing, so no kvm-reflect")
    ]


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("kvm", "reflect: on", "the name 'kvm' is taken by another emulation, guest or action"),
        ("kexec", "reflect: on", "the name 'kexec' is taken by another emulation, guest or action"),
        ("initramfs", "reflect: on", "the name 'initramfs' is taken by another emulation, guest or action"),
        ("spec", "reflect: on", "the name 'spec' is taken by the emulation at "),
        ("mine", "reflects: on", "unknown key 'reflects'; did you mean 'reflect'?"),
        ("mine", "rmp-entries: 1g", "properties.rmp-entries: "),
        ("mine", "", "nothing differs from kvm; name a property"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, name: str, written: str, said: str) -> None:
    file = tmp_path / "qemu-builds/emulations.yaml"
    file.parent.mkdir()
    (tmp_path / "harness.toml").write_text("name = 'own'\n")
    file.write_text(OWN.replace("NAME", name).replace("PROPERTIES", written))
    with pytest.raises(YamlError) as caught:
        load_catalog(find_project(tmp_path))
    assert f"{file}:2:" in str(caught.value)
    assert said in str(caught.value)


def test_a_project_adds_hosts(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text("name = 'own'\n")
    (tmp_path / "qemu-builds").mkdir()
    text = OWN.replace("NAME", "mine").replace("PROPERTIES", "hypervisor: spec, scramble: off")
    (tmp_path / "qemu-builds/emulations.yaml").write_text(text)
    catalog = load_catalog(find_project(tmp_path))
    assert catalog.emulated_host(replace(CELL, emulation="mine")) == {"hypervisor": "spec", "scramble": "off"}
    assert catalog.known().groups["emulation"] == {"some": ("kvm", "mine")}
    with pytest.raises(HarnessError, match="unknown emulation 'min'"):
        catalog.emulated_host(replace(CELL, emulation="min"))
