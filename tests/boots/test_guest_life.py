# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What becomes of an SNP guest in QEMU, where a scenario cannot ask: real boots with a special machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.boot.cell_machine import done_line, machine_spec
from harness.boot.driver import boot
from harness.boot.phases import Phase
from harness.evidence.actions import parse_actions
from harness.evidence.record import EndingKind
from harness.matrix.cell import Cell
from harness.platforms.host import Host

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.evidence.record import BootRecord

pytestmark = pytest.mark.qemu

HOST = Host()
CELL = Cell("debian-2025.02", "debian-6.12", "direct", 2048, "snp-emulated")


def run(cell: Cell, ingredients: Ingredients, folder: Path, **changes: Any) -> BootRecord:
    spec = replace(machine_spec(cell, ingredients, HOST), **changes)
    return boot(spec, folder / "record", cell_id=cell.id, platform=cell.platform, done=done_line(cell))


@pytest.mark.parametrize("kernel", ["debian-6.1", "debian-6.12", "debian-7.3"])
def test_all_vcpus_share_one_thread(kernel: str, ingredients: Ingredients, tmp_path: Path) -> None:
    """Bring-up, offline and online under single-threaded TCG; the scenarios use a thread per vCPU."""
    cell = replace(CELL, kernel=kernel, vcpus=4, action="cpu-cycle")
    record = run(cell, ingredients, tmp_path, accel="tcg,thread=single")
    assert record.ending.kind is EndingKind.COMPLETED
    (report,) = parse_actions(record.whole_text)
    assert report.result == {"before": "0-3", "offline": "0", "after": "0-3"}


def test_an_snp_guest_cannot_be_reset(ingredients: Ingredients, tmp_path: Path) -> None:
    """The VM ends although this QEMU would reset a machine that reboots."""
    cell = replace(CELL, action="reboot")
    record = run(cell, ingredients, tmp_path, extra=("-action", "reboot=reset"))
    assert record.ending.kind is EndingKind.RESET
    assert "cpus are not resettable, terminating" in record.bytes_of("qemu.log").decode()
    assert record.whole_text.count("Linux version") == 1


def test_kexec_before_linux_6_14_meets_a_page_that_was_shared(
    ingredients: Ingredients, tmp_path: Path
) -> None:
    record = run(replace(CELL, action="kexec"), ingredients, tmp_path)
    assert record.ending.kind is EndingKind.UNVALIDATED_ACCESS
    assert record.ending.phase == Phase.ACTIONS.label
    assert [report.action for report in parse_actions(record.whole_text)] == ["kexec"]
