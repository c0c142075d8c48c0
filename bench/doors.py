# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How long the doors take, with nothing to fetch or build: the command line, a request for firmware, pytest.

    python -m bench.doors [--runs 5]

``help`` is ``harness --help``. ``doctor`` is ``harness doctor --no-launch``, whatever it finds. ``no-op`` is
``harness build`` of firmware that has been built. ``first boot`` is from pytest's start to the folder of its
first boot, of a file of scenarios/. Judged is processor time, of ``first boot`` the clock.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from bench.firmware_build import SOURCE, harness, keeping_bytecode
from bench.measure import Cost, alternate, loaded, processor_seconds
from harness.errors import HarnessError
from harness.paths import SHIPPED
from harness.run.replay import TRAITS

if TYPE_CHECKING:
    from collections.abc import Callable

GOALS = {"help": 0.2, "no-op": 0.2, "doctor": 3.0, "first boot": 1.0}
"""Seconds."""
_PATIENCE = 120.0


def first_boot() -> Cost:
    """Return what pytest takes from its start to its first boot, without its children; the run ends then."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [sys.executable, "-m", "pytest", "-q", "scenarios/first-boot.yaml", "--records", folder]
        began = time.monotonic()
        environment = keeping_bytecode()
        with subprocess.Popen(command, cwd=SHIPPED, env=environment, stdout=subprocess.DEVNULL) as run:
            try:
                while not [*Path(folder).glob(f"*/{TRAITS}")]:
                    if run.poll() is not None or time.monotonic() - began > _PATIENCE:
                        raise HarnessError("pytest has booted nothing", " ".join(command))
                    time.sleep(0.005)
                return Cost(processor_seconds(run.pid), time.monotonic() - began)
            finally:
                run.terminate()


def main() -> int:
    """Print the figures and whether they hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(loaded())
    good = []
    doors: dict[str, Callable[[], Cost]] = {
        "help": partial(harness, "--help"),
        "no-op": partial(harness, "build", SOURCE),
        "doctor": partial(harness, "doctor", "--no-launch", check=False),
        "first boot": first_boot,
    }
    for name, costs in alternate(doors, options.runs).items():
        beside = f"of the clock {statistics.median(cost.wall for cost in costs):.2f} s"
        seconds = statistics.median(cost.cpu for cost in costs)
        good.append(tell(Figure(name, seconds, "s", GOALS[name]), beside))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
