# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Random GHCB pages, MSR values and page state changes: QEMU stays up, each answer is a specified one."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.bare_metal_guest import build, command, run

if TYPE_CHECKING:
    from pathlib import Path

CASES = int(os.environ.get("FUZZ_CASES", "120000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS = 60 + CASES / 2000


UNLUCKY = ",host-faults=psc-partial+psc-interrupted+psc-refused+size-mismatch"


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("properties", "cases"), [("", CASES), (UNLUCKY, CASES // 6)], ids=["fair host", "failing host"]
)
def test_random_requests(properties: str, cases: int, qemu_binary: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}, {cases} cases")
    debug = tmp_path / "debug.log"
    done = run(
        command(qemu_binary, build(tmp_path), debug, properties, cases=cases, seed=SEED), seconds=SECONDS
    )
    said = debug.read_text()
    assert said.endswith("end of fuzzing\n"), said + done.stderr
    assert "FAIL" not in said
    count = {name: int(value, 16) for name, value in re.findall(r"(\w+) (0x[0-9a-f]+)", said)}
    assert count["failures"] == 0
    assert count["pages"] + count["values"] > 0.8 * cases
    assert min(count["done"], count["exceptions"], count["malformed"]) > 0.02 * cases
    assert "0x0:0x0 general termination request" in done.stderr
