# SPDX-License-Identifier: BSD-2-Clause-Patent
"""On a host that reflects, firmware and kernel live with #VC: their own handlers run for every intercept.

The scenarios boot each kernel so; here the exits count.
"""

from __future__ import annotations

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


def test_userspace_is_reached(ingredients: Ingredients, tmp_path: Path) -> None:
    cell = Cell("debian-2025.02", "debian-6.12", "direct", 2048, "snp-emulated", 4, emulation="kvm-reflect")
    spec = machine_spec(cell, ingredients, Host())
    record = boot(spec, tmp_path, cell_id=cell.id, platform=cell.platform, done=done_line(cell))
    assert record.ending.kind is EndingKind.COMPLETED
    for kind in ("cpuid", "ioio", "msr", "mmio"):
        assert record.counters[f"reflected-{kind}"] > 100, kind
    assert (
        record.counters["vmgexits"]
        > sum(value for name, value in record.counters.items() if name.startswith("reflected-")) // 2
    )
