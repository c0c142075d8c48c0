# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the harness costs: a cell through pytest over the same QEMU command run bare, in turn.

    python -m bench.pytest_overhead [--runs 5] [--kernel ...] [--memory 8G] [--firmware ...]

``pytest`` is the whole process less its start-up and collection; judging is included. ``bare`` is the same
command by itself, to the same last line. Processor time counts children, so QEMU is in both.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial

from bench.measure import Cost, Interval, Ratio, alternate, cost, loaded, report, spec_of
from harness.artifacts.ingredients import Ingredients
from harness.matrix.cell import Cell, parse_memory
from harness.paths import SHIPPED

LAST_LINE = Interval("reboot: Power down")
GOAL = 1.10


def pytest_cost(cell: Cell) -> Cost:
    """Boot and judge the cell with pytest; what that takes beyond collection alone."""
    with tempfile.TemporaryDirectory(prefix="bench-") as records:
        command = [sys.executable, "-m", "pytest", "-q", "scenarios/", "-k", cell.id, "--records", records]
        whole, collection = _run(command), _run([*command, "--collect-only"])
    return Cost(whole.cpu - collection.cpu, whole.wall - collection.wall)


def _run(command: list[str]) -> Cost:
    def children() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    began, used = time.monotonic(), children()
    subprocess.run(command, cwd=SHIPPED, stdout=subprocess.DEVNULL, check=True)
    return Cost(children() - used, time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--firmware", default="debian-2025.02")
    parser.add_argument("--kernel", default="debian-6.12")
    parser.add_argument("--memory", type=parse_memory, default="8G")
    options = parser.parse_args()
    cell = Cell(options.firmware, options.kernel, "direct", options.memory, "snp-emulated")
    spec = spec_of(cell, Ingredients())
    costs = alternate(
        {"pytest": partial(pytest_cost, cell), "bare": partial(cost, spec, LAST_LINE)}, options.runs
    )
    print(f"{cell.id} ({loaded()})")
    return 0 if report(costs, [Ratio("pytest / bare", "pytest", "bare", GOAL)]) else 1


if __name__ == "__main__":
    sys.exit(main())
