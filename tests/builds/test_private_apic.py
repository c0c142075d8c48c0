# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The trait ``private_apic`` follows SEC's code, not its age: 2025.02 less one call ends as 2022.11 does."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from harness.matrix.cell import Cell
from harness.pytest_plugin.cell_items import SESSION
from harness.run.cell_run import CellRun
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients

PATCH = PROJECT / "tests/builds/sec-keeps-page-tables.patch"
MENDED, NAME = "stock-2025.02", "sec-keeps-page-tables"

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(0)]


def test_sec_that_keeps_its_page_tables(request: pytest.FixtureRequest, ingredients: Ingredients) -> None:
    recipe = ingredients.firmware_recipe(MENDED)
    assert not ingredients.firmware(MENDED).traits.private_apic
    patches = (*recipe.patches, PATCH)
    ingredients.add_firmware(dataclasses.replace(recipe, name=NAME, patches=patches, expect=()))
    cell = Cell(NAME, "efi-probe-eager", "direct", 2048, "snp-emulated")
    run = CellRun(request.config.stash[SESSION].context, cell)
    assert run.traits.firmware.private_apic
    assert [check.name for check in run.checks] == ["ends-on-private-mmio"]
    assert [str(finding) for check in run.checks for finding in check(run.evidence)] == []
