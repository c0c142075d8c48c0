# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the matrix costs beside its boots: planning, judging, and processors that stand idle.

    python -m bench.matrix [planning] [judging] [busy] [--replay DIR] [-- PYTEST-ARGUMENT...]

``planning``: a scenario of 10,000 cells is read, expanded, reduced and shown. ``judging``: what an assertion
takes once its boot is over, from the stored records in ``--replay`` (default: the newest run below out/).
``busy``: a run of scenarios/ (or of what stands after ``--``), processor time of it and all its children over
the time that it lasts and the processors that there are; for a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree as ET

from bench.figures import Figure, tell
from bench.measure import loaded
from harness.matrix.expand import plan
from harness.matrix.pairs import selection
from harness.matrix.schema import load_scenario
from harness.matrix.show import Shown, as_text
from harness.paths import SHIPPED
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session

FIGURES = ("planning", "judging", "busy")
PLANNING_GOAL = 2.0
JUDGING_GOAL = 0.020
BUSY_GOAL = 0.85
SCENARIO = """\
name: bench
description: How long does it take to plan 10,000 cells?
matrix:
  firmware: ["@debian", stock-2022.11, safe-2022.11, unsafe-2022.11, stock-2025.02]
  kernel: [debian-5.10, debian-6.1, debian-6.12, debian-7.2]
  loader: [direct, "@grub", "@systemd-boot"]
  memory: [2G, 8G, 64G]
  platform: [snp, plain]
  vcpus: [1, 2, 4]
exclude:
  - {kernel: "<6.1", vcpus: ">=4", platform: plain}
  - {memory: 64G, firmware: debian-2022.11}
overrides:
  - {when: {kernel: ">=6.12", loader: "@grub >=2.14"}, set: {cmdline: accept_memory=eager}}
known-bad:
  - {when: {loader: "@grub <2.12"}, checks: ram-accounted, reason: r, link: "https://example.org", since: "1"}
"""


def planning() -> bool:
    """Plan some 10,000 cells."""
    session = Session(Options(), find_project(Path.cwd()), print)
    known = session.known
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "bench.yaml")
        path.write_text(SCENARIO)
        began = time.process_time()
        made = plan(load_scenario(path, known), lambda asked: asked)
        chosen = frozenset(planned.cell for planned in selection(made, full=False))
        as_text(Shown(made, chosen))
        taken = time.process_time() - began
    count = len(made.cells) + len(made.removed)
    return tell(Figure("planning", taken, "s", PLANNING_GOAL), f"{count} cells, {len(chosen)} chosen")


def judging(replay: Path) -> bool:
    """Judge stored records again and read what each item took from pytest's report."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "scenarios/", "--replay", str(replay)]
        subprocess.run(
            [*command, f"--junitxml={report}"], cwd=SHIPPED, stdout=subprocess.DEVNULL, check=False
        )
        # It is pytest's own report, written a moment ago.
        cases = ET.parse(report).iter("testcase")  # noqa: S314
        times = sorted(float(case.attrib["time"]) for case in cases)
    if not times:
        raise SystemExit(f"{replay}: no record of a scenario's cell")
    tenth = times[-max(1, len(times) // 10)]
    print(f"  {len(times)} assertions: median {statistics.median(times) * 1000:.1f} ms, ", end="")
    print(f"a tenth takes {tenth * 1000:.0f} ms or more, the longest {times[-1] * 1000:.0f} ms")
    return tell(Figure("an assertion on average", statistics.mean(times) * 1000, "ms", JUDGING_GOAL * 1000))


def busy(arguments: list[str]) -> bool:
    """Run scenarios and compare the processors' time with the clock's."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", *(arguments or ["scenarios/"])]
    subprocess.run(command, cwd=SHIPPED, check=False)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cpus = len(os.sched_getaffinity(0))
    print(f"  {wall:.0f} s on {cpus} processors ({loaded()})")
    return tell(Figure("processors busy", used / wall / cpus, "", BUSY_GOAL, at_least=True))


def newest_run() -> Path:
    """Return the folder of the newest run below out/."""
    runs = sorted((SHIPPED / "out/records").glob("*"), key=lambda folder: folder.stat().st_mtime)
    if not runs:
        raise SystemExit("no stored run of scenarios: boot some, or name a folder with --replay")
    return runs[-1]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--replay", type=Path, metavar="DIR")
    own, given = sys.argv[1:], []
    if "--" in own:
        own, given = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    if unknown := set(options.figures) - set(FIGURES):
        parser.error(f"unknown figure {', '.join(sorted(unknown))}")
    wanted = options.figures or FIGURES
    good = True
    if "planning" in wanted:
        good = planning() and good
    if "busy" in wanted:
        good = busy(given) and good
    if "judging" in wanted:
        good = judging(options.replay or newest_run()) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
