# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How well boots fill the processors of a machine: simulated, with the times of a stored run.

    python -m bench.scheduling [RUN]

Of the newest run, or of a run's folder, every boot takes as long as it took then, on machines of 2, 4 and 16
processors with 12 GiB for each. ``guessed`` starts the longest first by the harness's guess, ``recorded`` by
the run's own times. What no order can beat is all work shared evenly, or the longest boot alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from bench.matrix import newest_run
from harness.errors import HarnessError
from harness.matrix.cell import Cell, parse_memory
from harness.recipes.catalog import load_catalog
from harness.recipes.probe import ProbeRecipe
from harness.results.folder import StoredRun
from harness.run.estimate import demand_of, ends, longest_first
from harness.run.pool import Demand

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSORS = (2, 4, 16)
MIB_EACH = 12 << 10
BUSY_GOAL = 0.95


def boots_of(run: StoredRun) -> list[tuple[Cell, float]]:
    """Return the cells that a run booted, with their seconds."""
    found = []
    for boot in run.boots:
        axes = dict(boot.axes)
        memory, vcpus = parse_memory(axes.pop("memory")), int(axes.pop("vcpus", "1"))
        found.append((Cell(**axes, memory_mib=memory, vcpus=vcpus), boot.seconds))
    return found


def main() -> int:
    """Print the figures and whether they hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN")
    run = StoredRun.load(parser.parse_args().run or newest_run())
    catalog = load_catalog()
    boots = boots_of(run)
    if not boots:
        raise HarnessError(f"{run.id}: it booted nothing")

    def guess(boot: tuple[Cell, float]) -> float:
        cell = boot[0]
        return (1.0 if isinstance(catalog.kernels.get(cell.kernel), ProbeRecipe) else 2.0) + cell.vcpus

    def demand(boot: tuple[Cell, float]) -> Demand:
        return demand_of(boot[0], catalog)

    print(f"{len(boots)} boots of {run.id}, {sum(seconds for _, seconds in boots):.0f} s one after the other")
    good = True
    orders: dict[str, Callable[[tuple[Cell, float]], float]] = {
        "guessed": guess,
        "recorded": lambda it: it[1],
    }
    for processors in PROCESSORS:
        machine = Demand(processors, processors * MIB_EACH)
        work = sum(it[1] * min(demand(it).cpus, processors) for it in boots)
        least = max(work / processors, *(seconds for _, seconds in boots))
        for name, order in orders.items():
            last = ends(longest_first(boots, order), lambda it: it[1], demand, machine)[-1][0]
            figure = Figure(
                f"{processors} processors, {name}: least time / time",
                least / last,
                "",
                BUSY_GOAL if name == "recorded" else None,
                at_least=True,
            )
            good &= tell(figure, f"{last:.0f} s, at least {least:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
