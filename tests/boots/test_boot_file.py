# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The loader that is a file of its own: it starts the EFI probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.boot.cell_machine import machine_spec
from harness.boot.driver import boot
from harness.evidence.efi_probe import parse_probe
from harness.evidence.record import EndingKind
from harness.matrix.cell import Cell
from harness.platforms.host import Host

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients


@pytest.mark.qemu
def test_a_boot_file_runs(ingredients: Ingredients, tmp_path: Path) -> None:
    """No scenario can have this loader, for it leaves a kernel without console; the EFI probe has its own."""
    cell = Cell("debian-2025.02", "efi-probe-eager", "boot-file", 512, "plain")
    spec = machine_spec(cell, ingredients, Host())
    record = boot(spec, tmp_path / "record", cell_id=cell.id, platform=cell.platform)
    assert record.ending.kind is EndingKind.COMPLETED, record.ending
    probe = parse_probe(cast("dict[str, Any]", record.guest))
    assert (probe.cmdline, probe.left is not None) == ("", True)
