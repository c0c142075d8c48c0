# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How many instructions a guest executes until it powers off, emulated and plain: the guests' own difference.

    python -m bench.instructions [--kernel debian-6.12] [--emulation kvm-2m] [--memory 8G] [--cmdline WORDS]

QEMU counts them exactly when it records a run (``-icount``, ``rr=record``); that is several times slower than
a boot, but the count hardly depends on the machine. One instruction is one nanosecond of the guest's time
there, so waiting for timers costs nothing. What a ratio of times in ``bench.emulation`` has beyond the ratio
here is left to the emulation, and to the host's memory that the guest touched.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.measure import spec_of
from harness.artifacts.ingredients import Ingredients
from harness.errors import HarnessError
from harness.machine.machine import Machine
from harness.matrix.cell import Cell, parse_memory
from harness.matrix.choices import EMULATIONS

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
    parser.add_argument("--emulation", default=EMULATIONS[0], help="the emulated host")
    parser.add_argument("--memory", type=parse_memory, default="8G")
    parser.add_argument("--cmdline", default="")
    options = parser.parse_args()
    ingredients = Ingredients()
    plain = Cell(options.firmware, options.kernel, "direct", options.memory, "plain", cmdline=options.cmdline)
    emulated = replace(plain, platform="snp-emulated", emulation=options.emulation)
    counts = []
    for cell in (emulated, plain):
        counts.append(count(cell, ingredients))
        print(f"{cell.id}: {counts[-1] / 1e6:.0f} million instructions", flush=True)
    print(f"ratio {counts[0] / counts[1]:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
