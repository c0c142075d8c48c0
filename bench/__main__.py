# SPDX-License-Identifier: BSD-2-Clause-Patent
"""All figures in one table, beside those of the last time.

    python -m bench [GROUP...] [--json] [--keep DIR]

Runs each group (a module of this folder) by itself, one after the other. The figures go to a file of DIR, and
are compared with the newest file there: so whoever runs this every night sees what became slower. The exit
code is 1 when a goal is missed or a group fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench.figures import RESULTS, Figure
from bench.measure import loaded
from harness.paths import SHIPPED
from harness.version import harness_version

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUPS = (
    "doors",
    "matrix",
    "results",
    "judging",
    "verification",
    "scheduling",
    "report",
    "diagnosis",
    "images",
    "emulation",
    "pytest_overhead",
    "big_guests",
    "qemu_build",
)
"""In this order."""
ON_REQUEST = ("firmware_build",)
"""Takes most of an hour: only who names it waits for it."""
SLOWER = 1.1
"""A figure that changed by more than a tenth is marked; less is what two runs differ by."""

Figures = dict[str, Figure]


def measure(group: str) -> tuple[Figures, int]:
    """Run a group; return its figures and its exit code."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "figures.jsonl")
        environment = {**os.environ, RESULTS: str(path)}
        command = [sys.executable, "-m", f"bench.{group}"]
        done = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    figures = (Figure(**json.loads(line)) for line in lines)
    return {f"{group}: {figure.name}": figure for figure in figures}, done.returncode


def table(figures: Mapping[str, Figure], before: Mapping[str, Figure]) -> Table:
    """Return the figures with their goals and what they were."""
    shown = Table("figure", "now", "before", "goal", "")
    for name, figure in figures.items():
        was = before.get(name)
        goal = "" if figure.goal is None else f"{'≥' if figure.at_least else '≤'} {figure.goal:g}"
        told = [] if figure.holds else ["misses its goal"]
        if was is not None and worse(figure, was):
            told.append("worse than before")
        shown.add_row(
            name,
            f"{figure.value:.3g} {figure.unit}".rstrip(),
            "" if was is None else f"{was.value:.3g}",
            goal,
            ", ".join(told),
        )
    return shown


def worse(now: Figure, before: Figure) -> bool:
    """Return whether a figure has become worse by more than what two runs differ by."""
    small, large = (now.value, before.value) if now.at_least else (before.value, now.value)
    return large > small * SLOWER


def newest(folder: Path) -> Figures:
    """Return the figures of the newest file of a folder."""
    files = sorted(folder.glob("*.json"))
    kept = json.loads(files[-1].read_text(encoding="utf-8"))["figures"] if files else {}
    return {name: Figure(**figure) for name, figure in kept.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = (*GROUPS, *ON_REQUEST)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(every))
    parser.add_argument("--json", action="store_true", help="print JSON in the table's place")
    parser.add_argument("--keep", type=Path, default=SHIPPED / "out/bench", metavar="DIR", help="out/bench")
    options = parser.parse_args()
    if unknown := set(options.groups) - {*every}:
        parser.error(f"unknown group {', '.join(sorted(unknown))}")
    before, figures, codes = newest(options.keep), Figures(), {}
    for group in options.groups or GROUPS:
        found, codes[group] = measure(group)
        figures |= found
    began = datetime.now(UTC)
    kept = {
        **asdict(harness_version()),
        "measured": began.isoformat(timespec="seconds"),
        "machine": loaded(),
        "exit codes": codes,
        "figures": {name: asdict(figure) for name, figure in figures.items()},
    }
    options.keep.mkdir(parents=True, exist_ok=True)
    text = json.dumps(kept, indent=1)
    (options.keep / began.strftime("%Y%m%d-%H%M%S.json")).write_text(f"{text}\n", encoding="utf-8")
    if options.json:
        print(text)
    else:
        Console(width=None if sys.stdout.isatty() else 140).print(table(figures, before))
    return 1 if any(codes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
