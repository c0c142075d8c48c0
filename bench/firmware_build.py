# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What building firmware costs.

    python -m bench.firmware_build [tree] [all] [mutants]

``tree`` builds a working tree cold and with one driver changed, and says what it takes to find that nothing
changed in all its files. ``all`` builds all that the project ships from nothing, unpacking of sources
included, and then asks for one of them again. ``mutants`` builds those of tests/builds/mutants beside their
base, which is built before and does not count; from their time follows that of 16.

The cache is one of its own that goes afterwards, with the downloads of the user's cache linked into it. The
goals are for two CPUs that do nothing else; judged is the wall clock.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench.figures import Figure, tell
from bench.measure import Cost, loaded
from harness.artifacts.firmware.edk2_source import edk2_source
from harness.artifacts.ingredients import Ingredients
from harness.paths import SHIPPED, cache_dir
from harness.recipes.catalog import load_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = "stock-2022.11"
DRIVER = "MdeModulePkg/Universal/WatchdogTimerDxe/WatchdogTimer.c"
MUTANTS = SHIPPED / "tests/builds/mutants"
COUNTED = 16  # mutants, in the goal
GOALS = {"cold": 270.0, "no-op": 0.3, "variant": 25.0, "all shipped": 900.0, f"{COUNTED} mutants": 360.0}
"""Seconds."""
REPEATS = 5


def now() -> Cost:
    """Read the clock, and the processor time of this process and of its children that have ended."""
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    return Cost(cpu, time.monotonic())


def spent(work: Callable[[], object]) -> Cost:
    before = now()
    work()
    after = now()
    return Cost(after.cpu - before.cpu, after.wall - before.wall)


def harness(*arguments: str, check: bool = True) -> Cost:
    """Run ``harness`` with these arguments, as where Python keeps the bytecode of what it imports.

    With ``check`` it must end well.
    """
    command = [sys.executable, "-m", "harness.cli.entry", *arguments]
    environment = keeping_bytecode()
    return spent(lambda: subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=check))


def keeping_bytecode() -> dict[str, str]:
    """Return this environment as it is where Python keeps the bytecode of what it imports."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def told(name: str, costs: list[Cost]) -> bool:
    """Print a figure's median against its goal; True when it holds."""
    wall, cpu = statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs)
    most = max(cost.wall for cost in costs)
    beside = f"at most {most:.2f} s, cpu {cpu:.2f} s, {loaded()}"
    return tell(Figure(name, wall, "s", GOALS[name]), beside)


def tree(folder: Path) -> bool:
    """Measure a developer's git tree: cold, as it is, and each time that one driver changes."""
    ingredients = Ingredients(progress=lambda _line: None)
    recipe = ingredients.firmware_recipe(SOURCE)
    pristine = edk2_source(recipe, ingredients.apt, ingredients.lock).open()
    edk2 = Path(shutil.copytree(pristine.root, folder / "developer", symlinks=True))
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "--quiet"], ["add", "--all", "--force"], ["commit", "--quiet", "-m", "all"]):
        subprocess.run(["git", *identity, *words], cwd=edk2, check=True)
    driver = edk2 / DRIVER
    driver.chmod(0o644)
    build = ("build", f"tree:{edk2}")
    good = told("cold", [harness(*build)])
    unchanged = statistics.median(harness(*build).wall for _ in range(REPEATS))
    print(f"nothing changed in the tree: wall {unchanged:.2f} s", flush=True)
    variants = []
    for number in range(REPEATS):
        with driver.open("a", encoding="utf-8") as file:
            file.write(f'\nSTATIC CONST CHAR8  *mVariant{number} __attribute__((used)) = "variant";\n')
        variants.append(harness(*build))
    return told("variant", variants) and good


def shipped(_folder: Path) -> bool:
    good = told("all shipped", [harness("build", *load_catalog().firmware)])
    return told("no-op", [harness("build", SOURCE) for _ in range(REPEATS)]) and good


def mutants(_folder: Path) -> bool:
    """Build all mutants one after the other, in the base's work tree."""
    ingredients = Ingredients(progress=lambda _line: None)
    base = ingredients.firmware_recipe(yaml.safe_load((MUTANTS / "mutants.yaml").read_text())["base"])
    ingredients.firmware(base.name)
    patches = sorted(MUTANTS.glob("*.patch"))

    def build() -> None:
        for patch in patches:
            name = f"mutant-{patch.stem}"
            ingredients.add_firmware(replace(base, name=name, patches=(*base.patches, patch), expect=()))
            ingredients.firmware(name)

    cost = spent(build)
    print(f"{len(patches)} mutants: wall {cost.wall:.2f} s, cpu {cost.cpu:.2f} s")
    part = COUNTED / len(patches)
    return told(f"{COUNTED} mutants", [Cost(cost.cpu * part, cost.wall * part)])


FIGURES = {"tree": tree, "all": shipped, "mutants": mutants}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*", choices=FIGURES, help="default: all of them")
    options = parser.parse_args()
    downloads = [cache_dir() / "apt", *(cache_dir() / "store").glob("deb*")]
    good = True
    for figure in options.figures or FIGURES:
        # Beside the downloads, so that they can be linked.
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=downloads[0].parent) as name:
            for path in downloads:
                target = Path(name) / path.relative_to(downloads[0].parent)
                shutil.copytree(path, target, symlinks=True, copy_function=os.link)
            os.environ["HARNESS_CACHE"] = name
            good &= FIGURES[figure](Path(name))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
