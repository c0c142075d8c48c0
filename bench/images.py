# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What images cost: making loaders' disks, and booting the initramfs guest and the EFI probe.

    python -m bench.images [--runs 5] [--kernel debian-6.12] [--memory 8G] [--firmware debian-2025.02]

``warm`` is each loader's disk from the cache, by a process that has just started; the slowest counts.
``cold`` makes the disks of all loaders in a store of its own that goes afterwards; the loaders' programs and
the kernel are in the cache. The boots go from QEMU's start to the end of the guest's document, emulated and
plain in turn. Judged is processor time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from bench.measure import Cost, Interval, alternate, cost, loaded, spec_of
from harness.artifacts.guest.initramfs import CMDLINE
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.loader.files import Payload
from harness.artifacts.loader.resolve import loader_image
from harness.debian.archive import AptRoot
from harness.evidence.record import DOCUMENT_END
from harness.matrix.cell import Cell, parse_memory
from harness.store.entries import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DOCUMENT = Interval(DOCUMENT_END)
PROBE = "efi-probe-lazy"
GOALS = {"warm": 0.5, "cold": 60.0, "initramfs": 8.0, "probe": 3.0}
"""Seconds."""


def timed(work: Callable[[], object]) -> Cost:
    """Do some work of this process; it starts no others."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    return Cost(time.process_time() - cpu, time.monotonic() - wall)


def with_disk(ingredients: Ingredients) -> list[str]:
    """Return the loaders that have a disk."""
    return [name for name, recipe in ingredients.catalog.loaders.items() if not recipe.is_direct]


def warm(kernel: str) -> dict[str, Cost]:
    """Ask for each disk with nothing in memory but the recipes."""
    costs = {}
    for name in with_disk(Ingredients()):
        fresh = Ingredients()
        _ = fresh.lock
        initrd = fresh.initrd
        costs[name] = timed(partial(fresh.loader_image, name, kernel, initrd, CMDLINE))
    return costs


def cold(kernel: str, ingredients: Ingredients) -> Cost:
    """Make all disks anew."""
    chosen = ingredients.kernel(kernel)
    payload = Payload(chosen.path, ingredients.initrd, CMDLINE, chosen.traits.version)
    loaders = [ingredients.loader(name) for name in with_disk(ingredients)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        apt = AptRoot(store=Store(Path(folder)), progress=lambda _line: None)
        return timed(lambda: [loader_image(loader, payload, apt) for loader in loaders])


def told(name: str, what: str, one: Cost) -> bool:
    """Print one figure against its goal; True when it holds."""
    return tell(Figure(name, one.cpu, "s", GOALS[name]), f"{what}; of the clock {one.wall:.2f} s, {loaded()}")


def boots(options: argparse.Namespace, ingredients: Ingredients) -> Mapping[str, Cost]:
    """Return the medians of boots, emulated and plain."""
    sides = {}
    for name, kernel in (("initramfs", options.kernel), ("probe", PROBE)):
        for platform in ("snp-emulated", "plain"):
            cell = Cell(options.firmware, kernel, "direct", options.memory, platform)
            sides[f"{name} {platform}"] = partial(cost, spec_of(cell, ingredients), DOCUMENT)
    costs = alternate(sides, options.runs)
    return {
        name: Cost(statistics.median(c.cpu for c in of), statistics.median(c.wall for c in of))
        for name, of in costs.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--firmware", default="debian-2025.02")
    parser.add_argument("--kernel", default="debian-6.12")
    parser.add_argument("--memory", type=parse_memory, default="8G")
    options = parser.parse_args()
    ingredients = Ingredients()
    for name in with_disk(ingredients):
        ingredients.loader_image(name, options.kernel, ingredients.initrd, CMDLINE)
    of_loaders = warm(options.kernel)
    slowest = max(of_loaders, key=lambda name: of_loaders[name].cpu)
    good = [told("warm", f"disk of {slowest}, the slowest from the cache", of_loaders[slowest])]
    count = len(of_loaders)
    good.append(told("cold", f"disks of {count} loaders, made anew", cold(options.kernel, ingredients)))
    middle = boots(options, ingredients)
    for name in ("initramfs", "probe"):
        plain = middle[f"{name} plain"]
        what = f"{name} to its document (plain: cpu {plain.cpu:.2f} s, wall {plain.wall:.2f} s)"
        good.append(told(name, what, middle[f"{name} snp-emulated"]))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
