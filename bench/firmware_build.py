# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What building firmware costs: cold, a variant in a warm tree, a no-op, and all that the project ships.

    python -m bench.firmware_build [--all]

Uses a cache of its own in a temporary folder, with the downloads of the user's cache linked into it. CPU time
(user and system, of all children) stands beside wall time: on a machine that does other things as well it is
the steadier of the two.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.artifacts.edk2_source import edk2_source
from harness.artifacts.ingredients import Ingredients
from harness.paths import cache_dir

BASE = "stock-2022.11"
DRIVER = "MdeModulePkg/Universal/WatchdogTimerDxe/WatchdogTimer.c"
GOALS = {"cold": 270.0, "variant": 25.0, "no-op": 0.3, "all shipped": 900.0}
REPEATS = 3


@dataclass(frozen=True)
class Cost:
    """Seconds."""

    wall: float
    cpu: float


def spent(*arguments: str) -> Cost:
    """Run ``harness`` with these arguments."""
    before, began = os.times(), time.monotonic()
    command = [sys.executable, "-m", "harness.cli", *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.monotonic() - began, cpu)


def show(what: str, cost: Cost) -> None:
    print(f"{what:12} {cost.wall:7.2f} s wall, {cost.cpu:7.2f} s CPU, goal {GOALS[what]:.1f} s", flush=True)


def variant(tree: Path, number: int) -> None:
    """Change one driver of a working tree."""
    path = tree / DRIVER
    with path.open("a", encoding="utf-8") as file:
        file.write(f'\nSTATIC CONST CHAR8  *mVariant __attribute__((used)) = "{number}";\n')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="build all shipped recipes from nothing")
    options = parser.parse_args()
    downloads = [cache_dir() / "apt", *(cache_dir() / "store").glob("deb*")]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        os.environ["HARNESS_CACHE"] = name
        for path in downloads:
            target = Path(name) / path.relative_to(downloads[0].parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(path, target, symlinks=True, copy_function=os.link)
        if options.all:
            show("all shipped", spent("build", "firmware", "--all"))
            return
        ingredients = Ingredients(progress=lambda _line: None)
        pristine = edk2_source(ingredients.firmware_recipe(BASE), ingredients.apt, ingredients.lock).open()
        tree = Path(shutil.copytree(pristine.root, Path(name) / "edk2", symlinks=True))
        (tree / DRIVER).chmod(0o644)
        build = ("build", "firmware", f"tree:{tree}")
        show("cold", spent(*build))
        for _ in range(REPEATS):
            show("no-op", spent(*build))
        for number in range(REPEATS):
            variant(tree, number)
            show("variant", spent(*build))


if __name__ == "__main__":
    main()
