# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How long QEMU takes to build from nothing.

    python -m bench.qemu_build [--option=--enable-slirp ...]

Builds the project's recipe, with options added to it, in a store of its own that goes afterwards; sources
are fetched once more, and the time for that does not count. The goal is for two CPUs that do nothing else;
processor time over the number of CPUs is what the build would take on those that are here.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, tell
from bench.measure import Cost, loaded
from harness.artifacts.qemu import build_qemu
from harness.debian.archive import AptRoot
from harness.debian.lock_file import LOCK_NAME, Lock
from harness.paths import SHIPPED
from harness.recipes.qemu import load_qemu
from harness.store.entries import Store

GOAL_SECONDS = 240


def build(options: list[str]) -> dict[str, Cost]:
    """Build once; what unpacking, patching, configuring and compiling took together, and compiling alone."""
    marks: dict[str, Cost] = {}

    def now() -> Cost:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Cost(used.ru_utime + used.ru_stime, time.monotonic())

    def progress(message: str) -> None:
        if message.startswith("unpacking qemu"):
            marks["whole"] = now()
        elif message == "QEMU: compile":
            marks["compile"] = now()

    recipe = load_qemu()
    recipe = recipe.model_copy(update={"configure": (*recipe.configure, *options)})
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        apt = AptRoot(store=Store(Path(folder)), progress=progress)
        build_qemu(recipe, apt, Lock.load(SHIPPED / LOCK_NAME))
    end = now()
    return {name: Cost(end.cpu - mark.cpu, end.wall - mark.wall) for name, mark in marks.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--option", action="append", default=[], help="of QEMU's configure; may be repeated")
    options = parser.parse_args()
    costs = build(options.option)
    cpus = len(os.sched_getaffinity(0))
    for name, cost in costs.items():
        print(f"{name}: {cost.wall:.0f} s, cpu {cost.cpu:.0f} s = {cost.cpu / cpus:.0f} s on {cpus} CPUs")
    return 0 if tell(Figure("whole", costs["whole"].wall, "s", GOAL_SECONDS), loaded()) else 1


if __name__ == "__main__":
    sys.exit(main())
