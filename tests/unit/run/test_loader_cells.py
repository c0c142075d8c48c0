# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Cells with a loader: their machines boot from a disk, and their records say how the kernel was entered."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.artifacts.guest.initramfs import CMDLINE
from harness.boot.cell_machine import machine_spec
from harness.errors import HarnessError
from harness.machine.spec import Drive
from harness.matrix.cell import Cell
from harness.platforms.host import Host
from harness.recipes.catalog import load_catalog
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.replay import TRAITS, load_traits
from harness.run.session import Session

CELL = Cell("debian-2025.02", "debian-6.1", "grub-2.06-bookworm", 2048, "plain", cmdline="quiet")


def test_the_machine_boots_from_the_loaders_disk() -> None:
    asked = []

    def image(*what: Any) -> Path:
        asked.append(what)
        return Path("/disk.img")

    ingredients: Any = SimpleNamespace(
        qemu=Path("/qemu"),
        catalog=load_catalog(),
        initrd_of=lambda guest: Path("/", guest),
        firmware=lambda _: SimpleNamespace(path=Path("/fd"), traits=SimpleNamespace(kernel_hashes=False)),
        kernel=lambda _: SimpleNamespace(path=Path("/k"), words=None, require=lambda *_: None),
        loader_image=image,
    )
    spec = machine_spec(CELL, ingredients, Host())
    assert (spec.kernel, spec.initrd, spec.cmdline) == (None, None, "")
    assert spec.drives == (Drive(path=Path("/disk.img"), boot_index=0),)
    assert asked == [("grub-2.06-bookworm", "debian-6.1", Path("/initramfs"), f"{CMDLINE} quiet")]


@pytest.mark.usefixtures("stand_ins")
def test_expectations_follow_the_entry(tmp_path: Path) -> None:
    started = Session(Options(), find_project(tmp_path), lambda _: None)
    for loader, outcome in (("grub-2.06-bookworm", "memory-lost"), ("grub-2.12", "eager")):
        cell = Cell("debian-2025.02", "debian-6.1", loader, 8192, "snp-emulated")
        assert started.run(cell).expectation.outcome == outcome
    silent = Cell("debian-2025.02", "debian-6.1", "boot-file", 2048, "plain")
    left = started.prepare([started.run(silent), started.run(CELL)])
    assert list(left) == [silent]
    assert "the kernel has no console with boot-file" in left[silent].what


@pytest.mark.parametrize(("entry", "outcome"), [("legacy", "memory-lost"), (None, "eager")])
def test_a_replay_reads_the_entry(tmp_path: Path, records: Path, entry: str | None, outcome: str) -> None:
    """A record from before there were loaders names none."""
    cell = Cell("debian-2025.02", "debian-6.1", "grub-2.06-bookworm", 8192, "snp-emulated")
    stored = next(path for path in records.iterdir() if "debian-6.1" in path.name)
    told = json.loads((stored / TRAITS).read_bytes())
    told.pop("entry", None)
    (tmp_path / cell.id).mkdir()
    path = tmp_path / cell.id / TRAITS
    path.write_text(json.dumps(told if entry is None else {**told, "entry": entry}))
    replay = Session(Options(replay=tmp_path), find_project(tmp_path), lambda _: None)
    assert replay.run(cell).expectation.outcome == outcome
    path.write_text("[]")
    with pytest.raises(HarnessError, match="cannot be read"):
        load_traits(path)
