# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A platform that another package adds, on a real QEMU: guests whose policy allows debugging."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks.finding import Needs
from harness.progress import say
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session
from tests.support.packages import install

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """\
name: debuggable
description: Does a guest accept its memory when its owner may be debugged?
include:
  - {firmware: debian-2025.02, kernel: efi-probe-eager, memory: 4G, platform: snp-debuggable}
"""
MODULE = """\
from dataclasses import dataclass, replace

from harness.platforms.snp_emulated import SnpEmulated


@dataclass(frozen=True)
class Debuggable:
    name: str = "snp-debuggable"
    technology: str = "snp"
    tier: str = "emulated"
    acceptance: str = "exact"
    deadline_factor: float = 2.0
    falls_back_to: str | None = "snp-emulated"

    def lacking(self, host):
        return ()

    def configure(self, spec, host):
        spec = SnpEmulated().configure(spec, host)
        properties = dict(spec.confidential.properties) | {"policy": "0xb0000"}
        return replace(spec, confidential=replace(spec.confidential, properties=tuple(properties.items())))


PLATFORM = Debuggable()
"""


@pytest.mark.qemu
def test_its_cell_is_booted_and_judged(site: Path, tmp_path: Path) -> None:
    (site / "debuggable.py").write_text(MODULE)
    install(site, "debuggable", "platforms", "snp-debuggable = debuggable:PLATFORM")
    (tmp_path / "s.yaml").write_text(SCENARIO)
    session = Session(Options(), find_project(tmp_path), say)
    (planned,) = session.plan(tmp_path / "s.yaml").planned
    assert planned.cell.id == "debian-2025.02+efi-probe-eager+direct+4G+snp-debuggable"
    run = session.run(planned.cell)
    session.prepare([run])
    session.schedule([run])
    asked = [check for check in run.checks if not check.not_applicable(run.cell.platform, run.traits)]
    assert any(check.needs is Needs.LEDGER for check in asked)
    assert [finding for check in asked for finding in check(run.evidence)] == []
    assert (run.record.platform, run.record.confidential["policy"]) == ("snp-debuggable", "0xb0000")
    assert run.record.counters["policy"] == 0xB0000
    assert run.expectation.outcome == "eager"
