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


@pytest.mark.qemu
def test_random_requests(qemu_binary: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}, {CASES} cases")
    debug = tmp_path / "debug.log"
    done = run(
        command(qemu_binary, build(tmp_path), debug, cases=CASES, seed=SEED),
        seconds=SECONDS,
    )
    said = debug.read_text()
    assert said.endswith("end of fuzzing\n"), said + done.stderr
    assert "FAIL" not in said
    count = {name: int(value, 16) for name, value in re.findall(r"(\w+) (0x[0-9a-f]+)", said)}
    assert count["failures"] == 0
    assert count["pages"] + count["values"] > 0.8 * CASES
    assert min(count["done"], count["exceptions"], count["malformed"]) > 0.02 * CASES
    assert "0x0:0x0 general termination request" in done.stderr
