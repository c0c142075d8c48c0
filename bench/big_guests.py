# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests with more memory than the host: do they start, what do they take, how long does acceptance last.

    python -m bench.big_guests [MEMORY...] [--runs 3] [--firmware debian-2025.02] [--kernel debian-6.1]

For each size (64G, 513G, 1100G): an emulated and a plain boot of a kernel that cannot accept memory, so that
the firmware accepts all of it, and the host memory that QEMU took. ``mem=16G`` on the kernel's command line
keeps the kernel's own page structures (1.6 % of memory) out of it. The difference of the two is acceptance,
with the guest's other work for SNP; for 513G it has a goal.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial

from bench.figures import Figure, tell
from bench.measure import BOOT, alternate, cost, loaded, spec_of
from harness.artifacts.ingredients import Ingredients
from harness.matrix.cell import Cell, format_memory, parse_memory

GOALS = {parse_memory("513G"): 10.0}
"""Seconds for the eager acceptance of so many MiB."""
SIZES = ("64G", "513G", "1100G")
CMDLINE = "mem=16G"


def measure(memory: int, options: argparse.Namespace, ingredients: Ingredients) -> bool:
    """Measure and print one size; True when it has no goal or meets it."""
    specs = {
        platform: spec_of(
            Cell(options.firmware, options.kernel, "direct", memory, platform, cmdline=CMDLINE), ingredients
        )
        for platform in ("snp-emulated", "plain")
    }
    costs = alternate({name: partial(cost, spec, BOOT) for name, spec in specs.items()}, options.runs)
    middle = {name: statistics.median(one.cpu for one in values) for name, values in costs.items()}
    wall = {name: statistics.median(one.wall for one in values) for name, values in costs.items()}
    for name, values in costs.items():
        most = max(one.memory_mib for one in values)
        print(
            f"{format_memory(memory)} {name}: cpu {middle[name]:.2f} s, wall {wall[name]:.2f} s, "
            f"host memory {most} MiB ({loaded()})"
        )
    seconds = middle["snp-emulated"] - middle["plain"]
    return tell(Figure(f"{format_memory(memory)}, emulated - plain", seconds, "s", GOALS.get(memory)))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", metavar="MEMORY", help=", ".join(SIZES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--firmware", default="debian-2025.02")
    parser.add_argument("--kernel", default="debian-6.1")
    options = parser.parse_args()
    ingredients = Ingredients()
    sizes = [parse_memory(size) for size in options.sizes or SIZES]
    good = [measure(size, options, ingredients) for size in sizes]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
