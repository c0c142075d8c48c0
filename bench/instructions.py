# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How many instructions a guest executes until it powers off, emulated and plain: the guests' own difference.

    python -m bench.instructions [--kernel debian-6.12] [--memory 8G] [--cmdline WORDS] [--firmware ...]

QEMU counts them exactly when it records a run (``-icount``, ``rr=record``); that is several times slower than
a boot, but the count hardly depends on the machine. One instruction is one nanosecond of the guest's time
there, so waiting for timers costs nothing. What a ratio of times in ``bench.emulation`` has beyond the ratio
here is left to the emulation, and to the host's memory that the guest touched.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.measure import spec_of
from harness.artifacts.ingredients import Ingredients
from harness.errors import HarnessError
from harness.machine.machine import Machine
from harness.matrix.cell import Cell, parse_memory

SECONDS = 1200
COUNTING = ("-icount", "shift=0,sleep=off,rr=record,rrfile=/dev/null")


def count(cell: Cell, ingredients: Ingredients) -> int:
    """Boot the cell and return the instructions that it executed until it powered off."""
    spec = spec_of(cell, ingredients, extra=COUNTING)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Machine(spec, Path(folder)) as machine:
        machine.cont()

        def over() -> bool | None:
            return any(event.name == "SHUTDOWN" for event in machine.events) or None

        if machine.wait(over, machine.clock() + SECONDS) is None:
            raise HarnessError(f"{cell.id}: still running after {SECONDS} s")
        answer = machine.qmp.execute("query-replay")
    assert isinstance(answer, dict)
    return int(answer["icount"])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--firmware", default="debian-2025.02")
    parser.add_argument("--kernel", default="debian-6.12")
    parser.add_argument("--memory", type=parse_memory, default="8G")
    parser.add_argument("--cmdline", default="")
    options = parser.parse_args()
    ingredients = Ingredients()
    counts = {}
    for platform in ("snp-emulated", "plain"):
        cell = Cell(
            options.firmware, options.kernel, "direct", options.memory, platform, cmdline=options.cmdline
        )
        counts[platform] = count(cell, ingredients)
        print(f"{cell.id}: {counts[platform] / 1e6:.0f} million instructions", flush=True)
    print(f"ratio {counts['snp-emulated'] / counts['plain']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
