# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Results of a run of 3,100 answers: what writing, the history and a comparison take.

Writing is every line of the run, one by one as answers come, and each record's verdict; its goal is a share
of a default run. The history takes the run in; the comparison loads two such runs and compares them. Judged
is the median of the processor time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from bench.measure import loaded
from harness.matrix.cell import Cell
from harness.results.compare import compare
from harness.results.folder import RunWriter, StoredRun
from harness.results.history import History
from harness.results.show_comparison import show
from harness.run.recorder import write_verdict
from tests.support.runs import boot, check, end, finding, run_data, write_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.results.model import BootLine, CheckLine, Line

BOOTS, CHECKS, FAILED = 124, 25, 12
RUNS = 5
DEFAULT_RUN = 360.0
"""Seconds of a default run on two processors."""
SHARE = 0.01
SECONDS = 1.0
_AXES = ("firmware", "kernel", "loader", "memory", "platform")
_MEASURES = {"accepted.firmware.pages": 1572864.0, "vmgexits": 4096.0, "ebs-calls": 2.0}


def made_up(salt: int) -> list[tuple[Cell, BootLine, list[CheckLine]]]:
    """Return cells with their boot and answers; some of the failures are others with another ``salt``."""
    found = []
    for number in range(BOOTS):
        cell = Cell(
            f"firmware-{number % 12}", f"kernel-{number % 15}", "direct", 1024 + number, "snp-emulated"
        )
        values = dict(zip(_AXES, cell.id.split("+"), strict=True))
        phases = {f"phase.{name}.seconds": 1.0 + number / 100 for name in ("firmware", "kernel", "userspace")}
        line = boot(cell.id, axes=values, measures={**_MEASURES, **phases})
        told = (finding("not-in-e820", "6442450944 bytes are in no e820 entry", bytes=6442450944 + salt),)
        answers = [
            check(cell.id, f"check-{name}", "failed", findings=told)
            if (number + salt) % BOOTS < FAILED and name < 3
            else check(cell.id, f"check-{name}")
            for name in range(CHECKS)
        ]
        found.append((cell, line, answers))
    return found


def _lines(salt: int) -> list[Line]:
    lines: list[Line] = []
    for _, one, answers in made_up(salt):
        lines += [one, *answers]
    return lines


def write(folder: Path) -> None:
    """Write a run as it happens: a boot, its answers one by one, its verdict."""
    writer = RunWriter(folder)
    writer.begin(run_data(folder.name))
    for cell, line, answers in made_up(0):
        record = folder / cell.id
        record.mkdir(parents=True)
        writer.add(line)
        for answer in answers:
            writer.add(answer)
        write_verdict(record, cell, answers)
    writer.add(end())


def take_in(records: Path) -> None:
    """Let a new history take in the runs of a folder."""
    with History.open(records) as history:
        assert history.runs()[0].asked == BOOTS * CHECKS


def compare_two(base: Path, head: Path) -> None:
    """Load two runs, compare them and print the page."""
    found = compare(StoredRun.load(base), StoredRun.load(head))
    assert found.is_worse
    assert show(found, "markdown")


def _median(name: str, work: Callable[[Path], None], goal: float) -> bool:
    """Print the median of ``RUNS`` goes, each with a folder of its own; whether it is within the goal."""
    cpu, wall = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            begin = time.process_time(), time.monotonic()
            work(Path(folder))
            cpu.append(time.process_time() - begin[0])
            wall.append(time.monotonic() - begin[1])
    return tell(
        Figure(name, statistics.median(cpu), "s", goal), f"of the clock {statistics.median(wall):.2f} s"
    )


def main() -> int:
    """Print the figures and whether they hold."""
    print(f"{BOOTS * CHECKS} answers of {BOOTS} boots ({loaded()})")
    with tempfile.TemporaryDirectory(prefix="bench-") as stored:
        records = Path(stored)
        sides = [write_run(records, name, *_lines(salt), end()) for salt, name in enumerate(("base", "head"))]

        def insert(folder: Path) -> None:
            (folder / "base").symlink_to(sides[0].path)
            take_in(folder)

        held = [
            _median("writing", lambda folder: write(folder / "run"), DEFAULT_RUN * SHARE),
            _median("history", insert, SECONDS),
            _median("compare", lambda _: compare_two(sides[0].path, sides[1].path), SECONDS),
        ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
