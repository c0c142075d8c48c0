# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What emulation, and the harness, cost: ratios of medians, the two sides of each ratio taken in turn.

    python bench/boot_overhead.py [--runs 5] [--kernel debian-6.12] [--memory 8G]

``emulated / plain``: boot to the guest's document under SNP emulation, over plain TCG; same firmware, kernel,
memory and QEMU binary. ``pytest / bare``: one cell through pytest (start-up and collection left out, judging
included), over the same QEMU command run bare to the same last line.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.artifacts.ingredients import Ingredients
from harness.boot.cell import machine_spec
from harness.boot.driver import boot
from harness.machine.argv import ByHand, argv
from harness.matrix.cell import Cell, format_memory, parse_memory
from harness.paths import PROJECT
from harness.platforms.host import Host

EMULATING = Host(sev_snp=False)
LAST_LINE = b"reboot: Power down"
GOALS = {"emulated / plain": 1.30, "pytest / bare": 1.10}


def boot_seconds(ingredients: Ingredients, cell: Cell, folder: Path) -> float:
    """Boot through the driver; seconds from letting the guest run to the end of its document."""
    spec = machine_spec(cell, ingredients, EMULATING)
    record = boot(spec, folder, cell_id=cell.id, platform=cell.platform)
    return next(mark.t for mark in record.phases if mark.name == "done")


def bare_seconds(ingredients: Ingredients, cell: Cell, folder: Path) -> float:
    """Run the command alone; seconds from its start to the guest's last line."""
    folder.mkdir(parents=True)
    command = argv(machine_spec(cell, ingredients, EMULATING), ByHand())
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if LAST_LINE in line:
                return time.monotonic() - began
    raise SystemExit(f"{cell.id}: the bare boot did not power off")


def pytest_seconds(cell: Cell, folder: Path) -> float:
    """Boot and judge the cell with pytest; seconds of the whole process less those of collection alone."""
    command = [sys.executable, "-m", "pytest", "-q", "scenarios/", "-k", cell.id, "--records", str(folder)]

    def run(*more: str) -> float:
        began = time.monotonic()
        subprocess.run([*command, *more], cwd=PROJECT, stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - began

    return run() - run("--collect-only")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--firmware", default="debian-2025.02")
    parser.add_argument("--kernel", default="debian-6.12")
    parser.add_argument("--memory", type=parse_memory, default="8G")
    options = parser.parse_args()
    ingredients = Ingredients()
    cells = {
        platform: Cell(options.firmware, options.kernel, "direct", options.memory, platform)
        for platform in ("snp-emulated", "plain")
    }
    seconds: dict[str, list[float]] = {name: [] for name in ("emulated", "plain", "pytest", "bare")}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for run in range(-1, options.runs):  # the first one warms the page cache and does not count
            taken = {
                "emulated": boot_seconds(ingredients, cells["snp-emulated"], Path(name, f"e{run}")),
                "plain": boot_seconds(ingredients, cells["plain"], Path(name, f"p{run}")),
                "pytest": pytest_seconds(cells["snp-emulated"], Path(name, f"t{run}")),
                "bare": bare_seconds(ingredients, cells["snp-emulated"], Path(name, f"b{run}")),
            }
            if run >= 0:
                for side, value in taken.items():
                    seconds[side].append(value)
    print(f"{options.firmware}, {options.kernel}, {format_memory(options.memory)}, {options.runs} runs")
    for side, values in seconds.items():
        print(
            f"  {side:9} median {statistics.median(values):6.2f} s  ({min(values):.2f} to {max(values):.2f})"
        )
    for ratio, goal in GOALS.items():
        over, under = ratio.split(" / ")
        value = statistics.median(seconds[over]) / statistics.median(seconds[under])
        print(f"  {ratio}: {value:.2f}, goal at most {goal:.2f}")


if __name__ == "__main__":
    main()
