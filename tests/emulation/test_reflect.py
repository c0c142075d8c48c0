# SPDX-License-Identifier: BSD-2-Clause-Patent
"""With reflect=on, firmware and kernels live with #VC: their own handlers run for every intercept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.boot.cell_machine import done_line, machine_spec
from harness.boot.driver import boot
from harness.evidence.record import EndingKind
from harness.matrix.cell import Cell
from harness.platforms.host import Host

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

pytestmark = pytest.mark.qemu


@pytest.mark.parametrize(("kernel", "vcpus"), [("debian-6.1", 1), ("debian-6.12", 4), ("debian-7.2", 1)])
def test_userspace_is_reached(kernel: str, vcpus: int, ingredients: Ingredients, tmp_path: Path) -> None:
    cell = Cell("debian-2025.02", kernel, "direct", 2048, "snp-emulated", vcpus)
    spec = machine_spec(cell, ingredients, Host())
    assert spec.confidential
    reflecting = replace(spec.confidential, properties=(*spec.confidential.properties, ("reflect", "on")))
    spec = replace(spec, confidential=reflecting)
    record = boot(spec, tmp_path, cell_id=cell.id, platform=cell.platform, done=done_line(cell))
    assert record.ending.kind is EndingKind.COMPLETED
    for kind in ("cpuid", "ioio", "msr", "mmio"):
        assert record.counters[f"reflected-{kind}"] > 100, kind
    assert (
        record.counters["vmgexits"]
        > sum(value for name, value in record.counters.items() if name.startswith("reflected-")) // 2
    )
