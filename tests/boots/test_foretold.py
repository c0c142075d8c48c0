# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A machine that is foretold before its parts are there is the one that boots."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.foretold import Foretold
from harness.boot.cell_machine import machine_spec, unasked
from harness.matrix.cell import Cell
from harness.platforms.host import Host
from harness.store.entries import Store

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients


@pytest.mark.qemu
@pytest.mark.parametrize("platform", ["snp", "snp-emulated"])
@pytest.mark.parametrize("firmware", ["debian-2025.02", "debian-2026.08"])
def test_a_machine_is_foretold(
    ingredients: Ingredients, tmp_path: Path, platform: str, firmware: str
) -> None:
    cell = Cell(firmware, "debian-6.12", "direct", 2048, platform)
    come = machine_spec(cell, ingredients, Host())
    foretold = Foretold(ingredients.with_store(Store(tmp_path)))
    told = unasked(cell, machine_spec(cell, foretold, Host()))
    for one, other in ((told.qemu, come.qemu), (told.firmware, come.firmware)):
        assert one.relative_to(tmp_path) == other.relative_to(ingredients.apt.store.root)
    files = {name: getattr(come, name) for name in ("qemu", "firmware", "kernel", "initrd")}
    assert replace(told, **files) == come
