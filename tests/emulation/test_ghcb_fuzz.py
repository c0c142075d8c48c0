# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Random GHCB pages, MSR values and page state changes: QEMU stays up, each answer is a specified one."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.bare_metal_guest import ENCRYPTED, ENCRYPTED_SOURCES, SNP, build, command_of, run

if TYPE_CHECKING:
    from pathlib import Path

CASES = int(os.environ.get("FUZZ_CASES", "120000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS = 60 + CASES / 500
"""Of one run. A quiet machine takes a tenth of it; QEMU with sanitizers takes longer."""
UNLUCKY = ",host-faults=psc-partial+psc-interrupted+psc-refused+size-mismatch"
SEV_ES = f"{ENCRYPTED},policy=0x5"


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("guest", "cases"),
    [(SNP, CASES), (SNP + UNLUCKY, CASES // 6), (SEV_ES, CASES // 6)],
    ids=["fair host", "failing host", "SEV-ES guest"],
)
def test_random_requests(guest: str, cases: int, qemu_binary: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}, {cases} cases")
    debug, image = tmp_path / "debug.log", build(tmp_path, ENCRYPTED_SOURCES if guest == SEV_ES else None)
    arguments = command_of(guest, qemu_binary, image, debug, cases=cases, seed=SEED)
    done = run(arguments, seconds=SECONDS)
    said = debug.read_text()
    assert said.endswith("end of fuzzing\n"), said + done.stderr
    assert "FAIL" not in said
    assert "runtime error" not in done.stderr, done.stderr
    count = {name: int(value, 16) for name, value in re.findall(r"(\w+) (0x[0-9a-f]+)", said)}
    assert count["failures"] == 0
    assert count["pages"] + count["values"] > 0.8 * cases
    assert min(count["done"], count["exceptions"], count["malformed"]) > 0.02 * cases
    assert "0x0:0x0 general termination request" in done.stderr
