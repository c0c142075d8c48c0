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
from pathlib import Path

from bench.figures import Figure, tell
from bench.firmware_build import SOURCE, harness
from bench.measure import loaded
from harness.errors import HarnessError
from harness.paths import SHIPPED
from harness.run.replay import TRAITS

GOALS = {"help": 0.2, "no-op": 0.2, "doctor": 3.0, "first boot": 1.0}
"""Seconds."""
_PATIENCE = 120.0


def first_boot() -> float:
    """Return the seconds from pytest's start to its first boot; the run ends then."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [sys.executable, "-m", "pytest", "-q", "scenarios/first-boot.yaml", "--records", folder]
        began = time.monotonic()
        with subprocess.Popen(command, cwd=SHIPPED, stdout=subprocess.DEVNULL) as run:
            try:
                while not [*Path(folder).glob(f"*/{TRAITS}")]:
                    if run.poll() is not None or time.monotonic() - began > _PATIENCE:
                        raise HarnessError("pytest has booted nothing", " ".join(command))
                    time.sleep(0.005)
                return time.monotonic() - began
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
    asked = {"help": ("--help",), "no-op": ("build", SOURCE), "doctor": ("doctor", "--no-launch")}
    for name, words in asked.items():
        costs = [harness(*words, check=name != "doctor") for _ in range(options.runs)]
        beside = f"of the clock {statistics.median(cost.wall for cost in costs):.2f} s"
        seconds = statistics.median(cost.cpu for cost in costs)
        good.append(tell(Figure(name, seconds, "s", GOALS[name]), beside))
    seconds = statistics.median(first_boot() for _ in range(options.runs))
    good.append(tell(Figure("first boot", seconds, "s", GOALS["first boot"])))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
