# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a red line to the cause: what the commands take that look at stored boots, and two that boot.

    python -m bench.diagnosis [show] [diff] [judge] [capsule] [debug] [coverage]

A boot that panics and one that goes well are made first. ``show`` and ``diff`` look at them; ``judge`` asks
the model of a hundred copies of the good one; ``capsule`` is the packed bad one. ``debug`` is from the
command to gdb's first breakpoint, ``coverage`` a boot that logs what it executes ÷ one that does not. Judged
is processor time, of ``debug`` the clock.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from bench.firmware_build import spent
from bench.measure import loaded
from harness.errors import HarnessError
from harness.paths import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS, COPIES = 5, 100
BAD, GOOD = "memory=2G,cmdline=nopat", "memory=2G"
FIRMWARE = "stock-2025.02"
"""Has symbols, which Debian's have not."""
_CELL = "firmware={firmware},kernel=debian-6.12,{rest}"
_STOPPED = b"Breakpoint 1"


@dataclass(frozen=True)
class Records:
    """Folders of a boot that panicked and of one that went well."""

    bad: Path
    good: Path


def cost(*words: str) -> float:
    """Return the processor seconds of a command, its exit code whatever it is."""
    command = [sys.executable, "-m", "harness.cli.entry", *words]
    quiet = subprocess.DEVNULL
    return spent(
        lambda: subprocess.run(command, cwd=SHIPPED, stdin=quiet, stdout=quiet, stderr=quiet, check=False)
    ).cpu


def boot(folder: Path, rest: str) -> Path:
    """Boot a cell, with the model's questions, into a record; HarnessError when that leaves none."""
    cell = _CELL.format(firmware="debian-2025.02", rest=rest)
    words = (sys.executable, "-m", "harness.cli.entry", "boot", cell, "--judge", "--record", str(folder))
    subprocess.run(words, cwd=SHIPPED, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if not (folder / "boot.json").is_file():
        raise HarnessError(f"the cell {cell} has left no record")
    return folder


def show(records: Records) -> Figure:
    """Measure ``harness show`` of the bad boot."""
    return Figure("show", _median("show", records.bad), "s", 0.5)


def diff(records: Records) -> Figure:
    """Measure ``harness diff`` of both."""
    return Figure("diff", _median("diff", records.bad, records.good), "s", 0.5)


def judge(records: Records) -> Figure:
    """Measure the replay of a hundred records."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(COPIES):
            shutil.copytree(records.good, Path(folder, f"{number:03}"))
        return Figure(f"judge {COPIES} records", cost("judge", folder), "s", 10.0)


def capsule(records: Records) -> Figure:
    """Measure the capsule of a failure."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "bad.tar.zst")
        cost("pack", str(records.bad), "-o", str(path))
        return Figure("capsule of a failure", path.stat().st_size / 1e6, "MB", 2.0)


def debug(_records: Records) -> Figure:
    """Measure how long it takes to the breakpoint before ExitBootServices."""
    cell = _CELL.format(firmware=FIRMWARE, rest="memory=6G")
    commands = ("break ResolveUnacceptedMemory", "continue", "monitor quit")
    words = [sys.executable, "-m", "harness.cli.entry", "debug", cell]
    for command in commands:
        words += ["--ex", command]
    began = time.monotonic()
    with subprocess.Popen(
        words, cwd=SHIPPED, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith(_STOPPED) and b"ResolveUnacceptedMemory (" in line:
                seconds = time.monotonic() - began
                break
        else:
            raise HarnessError("gdb met no breakpoint", b"".join(said[-5:]).decode(errors="replace"))
        process.stdout.read()
    return Figure("debug, to the first breakpoint", seconds, "s", 10.0)


def coverage(_records: Records) -> Figure:
    """Measure a boot that logs what it executes ÷ one that does not."""
    cell = _CELL.format(firmware=FIRMWARE, rest=GOOD)
    logged = statistics.median(cost("coverage", cell) for _ in range(3))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plain = statistics.median(cost("boot", cell, "--record", f"{folder}/{number}") for number in range(3))
    return Figure("boot with coverage ÷ without", logged / plain, "", 2.0)


FIGURES: dict[str, Callable[[Records], Figure]] = {
    each.__name__: each for each in (show, diff, judge, capsule, debug, coverage)
}


def _median(command: str, *records: Path) -> float:
    words = [str(record) for record in records]
    return statistics.median(cost(command, *words) for _ in range(RUNS))


def main(words: list[str]) -> int:
    """Print the figures and whether they hold."""
    if wrong := set(words) - set(FIGURES):
        print(f"no such figure: {', '.join(sorted(wrong))}; there are {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    print(loaded())
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        records = Records(boot(Path(folder, "bad"), BAD), boot(Path(folder, "good"), GOOD))
        good = [tell(FIGURES[name](records)) for name in words or FIGURES]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
