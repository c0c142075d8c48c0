# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An axis that this project does not have, from a scenario to QEMU's command and to verdicts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support import made_up_axis
from tests.support.data import PROJECT
from tests.support.pytest_runs import PLAIN, RECORDS

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """\
name: colours
description: which?
matrix:
  firmware: [debian-2025.02]
  kernel: [debian-6.1]
  memory: [2G]
  platform: [plain]
  colour: [grey, blue, red]
exclude:
  - {colour: red, memory: '>1G'}
"""


def test_an_axis_costs_at_most_four_modules(tmp_path: Path) -> None:
    assert len(made_up_axis.TOUCHED) <= 4
    scenario, records = tmp_path / "scenarios/colours.yaml", tmp_path / "records"
    scenario.parent.mkdir()
    scenario.write_text(SCENARIO)
    (tmp_path / "harness.toml").write_text("name = 'own'\n")
    for name in (PLAIN, f"{PLAIN}+blue"):
        shutil.copytree(RECORDS / PLAIN, records / name)
    command = [sys.executable, "-m", "tests.support.made_up_axis", str(scenario), str(records)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, _, told = done.stdout.partition("\n")
    found = json.loads(first)
    (plan,) = found["plan"]
    assert [cell["id"] for cell in plan["cells"]] == [PLAIN, f"{PLAIN}+blue"]
    assert [cell["colour"] for cell in plan["cells"]] == ["grey", "blue"]
    assert [gone["id"] for gone in plan["removed"]] == [f"{PLAIN}+red"]
    assert found["found"] == [PLAIN, PLAIN, f"{PLAIN}+blue", f"{PLAIN}+blue"]
    assert "lamp,colour=blue" in found["commands"][f"{PLAIN}+blue"]
    assert f"colours.yaml::{PLAIN}+blue::no-sev PASSED" in told
