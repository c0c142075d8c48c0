# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What boots take of the host, how long, roughly, and in which order to start them: the longest first."""

from __future__ import annotations

import heapq
import json
from contextlib import suppress
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from harness.machine import backing
from harness.platforms.registry import platform_named
from harness.recipes.probe import ProbeRecipe
from harness.recipes.probe_options import parse_probe_options
from harness.results.folder import RESULTS, RUN, run_folders
from harness.results.model import BootLine
from harness.run.pool import TOUCHED, VCPUS_PER_CPU, Demand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from harness.checks.model import Expectation
    from harness.matrix.cell import Cell
    from harness.recipes.catalog import Catalog

T = TypeVar("T")

_RUNS = 3
_BOOT = '{"line":"boot"'
_PROBE = 3.0
_KERNEL = 7.0
_PER_VCPU = 4.0
_WHOLE_SYSTEM = 40.0
_PER_GIB_EAGER = 0.02
"""Seconds under emulation on an idle machine, from stored records, for cells that have none. Only their order
matters."""


def demand_of(cell: Cell, catalog: Catalog) -> Demand:
    """Return what a cell's boot takes of the host."""
    touched = TOUCHED
    recipe = catalog.kernels.get(cell.kernel)
    if isinstance(recipe, ProbeRecipe):
        with suppress(ValueError):  # words that it will not understand either, and report
            options = parse_probe_options(f"{recipe.options} {cell.cmdline}")
            touched = 1 / options.step if options.touch else 0.0
    cpus, platform = -(-cell.vcpus // VCPUS_PER_CPU), platform_named(cell.platform)
    if platform.tier == "hardware":  # guest_memfd gives nothing back, and whoever accepts a page takes it
        return Demand(cpus, cell.memory_mib, float(backing.sides(backing.chosen())), asids=1)
    return Demand(cpus, cell.memory_mib, touched)


def boot_seconds(what: Expectation) -> float:
    """Guess the length of a cell's boot."""
    cell = what.cell
    seconds = (_PROBE if what.traits.kernel.probe else _KERNEL) + _PER_VCPU * (cell.vcpus - 1)
    if cell.whole_system:
        seconds += _WHOLE_SYSTEM
    if what.outcome in {"eager", "kernel-eager"}:
        seconds += _PER_GIB_EAGER * cell.memory_mib / 1024
    return seconds + sum(action.seconds for action in what.traits.actions)


def recorded_seconds(records: Path, runs: int = _RUNS) -> dict[str, float]:
    """Return how long cells took to boot, the median of the last runs of scenarios below a folder."""
    found: dict[str, list[float]] = {}
    scenarios = (folder for folder in reversed(run_folders(records)) if _is_of_scenarios(folder))
    for folder in islice(scenarios, runs):
        with suppress(OSError, ValueError), (folder / RESULTS).open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(_BOOT):
                    boot = BootLine.model_validate_json(line)
                    found.setdefault(boot.cell, []).append(boot.seconds)
    return {cell: median(seconds) for cell, seconds in found.items()}


def _is_of_scenarios(folder: Path) -> bool:
    """Return whether a run's folder is of a run of scenarios; a single boot, say, has one cell's time."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return bool(json.loads((folder / RUN).read_bytes())["kind"] == "scenarios")
    return False


def by_record(guesses: Mapping[T, float], recorded: Mapping[T, float]) -> dict[T, float]:
    """Return what was recorded, and for what was not its guess on the same scale."""
    known = [recorded[it] / guess for it, guess in guesses.items() if it in recorded and guess]
    scale = median(known) if known else 1.0
    return {it: recorded.get(it, guess * scale) for it, guess in guesses.items()}


def longest_first(boots: Sequence[T], seconds: Callable[[T], float]) -> list[T]:
    """Return the order in which to start boots; those of one length stay in order."""
    return sorted(boots, key=seconds, reverse=True)


def by_end(
    boots: Sequence[T], seconds: Callable[[T], float], demand: Callable[[T], Demand], capacity: Demand
) -> list[T]:
    """Return the order in which boots will end that start in this order, each when it fits beside the others.

    Who asks for their records in this order waits least.
    """
    return [boots[number] for _, number in ends(boots, seconds, demand, capacity)]


def ends(
    boots: Sequence[T], seconds: Callable[[T], float], demand: Callable[[T], Demand], capacity: Demand
) -> list[tuple[float, int]]:
    """Return when boots that start in this order will end, with their places, by their ends."""
    cpus, mib, now = capacity.cpus, capacity.memory_mib, 0.0
    running: list[tuple[float, int]] = []
    ended: list[tuple[float, int]] = []

    def end_one() -> float:
        nonlocal cpus, mib
        end, number = heapq.heappop(running)
        ended.append((end, number))
        cpus, mib = cpus + demand(boots[number]).cpus, mib + demand(boots[number]).host_mib
        return end

    for number, boot in enumerate(boots):
        wants = demand(boot)
        while running and (wants.cpus > cpus or wants.host_mib > mib):
            now = end_one()
        cpus, mib = cpus - wants.cpus, mib - wants.host_mib
        heapq.heappush(running, (now + seconds(boot), number))
    while running:
        end_one()
    return ended
