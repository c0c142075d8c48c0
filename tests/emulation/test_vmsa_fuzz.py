# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Random VMSAs: QEMU refuses or runs them, and ends by itself; behind a vCPU that ends it a run goes on."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.bare_metal_guest import build, command, run

if TYPE_CHECKING:
    from pathlib import Path

CASES = int(os.environ.get("FUZZ_VMSAS", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.mark.qemu
def test_random_vmsas(qemu_binary: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}, {CASES} VMSAs")
    image, debug = build(tmp_path), tmp_path / "debug.log"
    first, ran, refused, ended = 0, 0, 0, 0
    while first < CASES:
        done = run(command(qemu_binary, image, debug, vmsas=CASES, first=first, seed=SEED))
        said = debug.read_text()
        seen = [int(number, 16) for number in re.findall(r"^case (\w+)\n", said, re.MULTILINE)]
        assert seen, f"{done.returncode}, {done.stderr}"
        assert done.returncode in {0, 1}, f"case {seen[-1]}: {done.returncode}, {done.stderr}"
        assert seen[0] == first
        ran += said.count("ran\n")
        refused += said.count("refused\n")
        if said.endswith("end of fuzzing\n"):
            break
        ended += 1
        print(f"case {seen[-1]}: {done.stderr.splitlines()[-1:]}")
        first = seen[-1] + 1
    print(f"{ran} ran, {refused} were refused, {ended} ended the machine")
    assert min(ran, refused) > CASES / 10
