# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the bench files share: a machine's costs between two lines of its console, and ratios of medians.

Processor time (user and system, of the whole QEMU process) is what a ratio is judged by: it hardly moves when
other programs use the machine, where the wall clock does. Both are shown.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from harness.boot.cell_machine import machine_spec
from harness.errors import HarnessError
from harness.evidence.record import DOCUMENT_BEGIN
from harness.machine.argv import ByHand, argv
from harness.platforms.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.artifacts.ingredients import Ingredients
    from harness.machine.spec import MachineSpec
    from harness.matrix.cell import Cell

EMULATING = Host()
USERSPACE = DOCUMENT_BEGIN
ACTION_BEGIN = "=====HARNESS-ACTION-BEGIN====="
ACTION_END = "=====HARNESS-ACTION-END====="


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time and of the clock, and the most host memory in use, in MiB (0: not known)."""

    cpu: float
    wall: float
    memory_mib: int = 0


@dataclass(frozen=True)
class Interval:
    """From the start of QEMU, or from a line that holds ``begin``, to one that holds ``end``."""

    end: str
    begin: str | None = None


BOOT = Interval(USERSPACE)
ACTION = Interval(ACTION_END, ACTION_BEGIN)


@dataclass(frozen=True)
class Ratio:
    """A ratio of processor times: ``over`` and ``under`` name its sides, ``goal`` is the most it may be."""

    name: str
    over: str
    under: str
    goal: float


def spec_of(cell: Cell, ingredients: Ingredients, **changes: object) -> MachineSpec:
    """Return the machine that the harness boots the cell on, on this host's emulation."""
    return replace(machine_spec(cell, ingredients, EMULATING), **changes)  # type: ignore[arg-type]  # by name


def cost(spec: MachineSpec, interval: Interval) -> Cost:
    """Run a machine until the interval is over, then end it. HarnessError when it ends before."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        began = time.monotonic()
        process = subprocess.Popen(
            # setpriv becomes QEMU, which ends with a measurement that is killed, too.
            ["setpriv", "--pdeathsig", "KILL", *argv(spec, ByHand())],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            return _cost(process, began, interval)
        finally:
            process.kill()
            process.wait()


def processor_seconds(pid: int) -> float:
    """Return the processor seconds, user and system, of a process that runs, all its threads together."""
    # clock_getcpuclockid(3): another process's clock is its number, inverted, shifted by three, with type 2.
    return time.clock_gettime((~pid << 3) | 2)


def _cost(process: subprocess.Popen[bytes], began: float, interval: Interval) -> Cost:
    begin = Cost(0.0, began) if interval.begin is None else None
    assert process.stdout is not None
    for line in process.stdout:
        if begin is None and interval.begin is not None and interval.begin.encode() in line:
            begin = Cost(processor_seconds(process.pid), time.monotonic())
        elif begin is not None and interval.end.encode() in line:
            cpu, wall = processor_seconds(process.pid) - begin.cpu, time.monotonic() - begin.wall
            return Cost(cpu, wall, _peak_mib(process.pid))
    raise HarnessError(f"the guest ended before it printed {interval.end}", str(process.args))


def _peak_mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    # a process that has ended, and waits for us to notice, has no memory any more
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), 0)


def alternate(sides: Mapping[str, Callable[[], Cost]], runs: int) -> dict[str, list[Cost]]:
    """Measure the sides in turn; a first round warms caches and does not count."""
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for run in range(-1, runs):
        for name, side in sides.items():
            one = side()
            if run >= 0:
                costs[name].append(one)
    return costs


def report(costs: Mapping[str, Sequence[Cost]], ratios: Sequence[Ratio]) -> bool:
    """Print medians and ratios; True when every goal is met by processor time."""
    for name, values in costs.items():
        cpu, wall = [value.cpu for value in values], [value.wall for value in values]
        print(
            f"  {name:34} cpu {statistics.median(cpu):6.2f} s ({min(cpu):.2f} to {max(cpu):.2f}), "
            f"wall {statistics.median(wall):6.2f} s ({min(wall):.2f} to {max(wall):.2f})"
        )
    good = True
    for ratio in ratios:
        over, under = costs[ratio.over], costs[ratio.under]
        cpu_ratio = statistics.median(c.cpu for c in over) / statistics.median(c.cpu for c in under)
        wall_ratio = statistics.median(c.wall for c in over) / statistics.median(c.wall for c in under)
        good &= tell(Figure(ratio.name, cpu_ratio, "", ratio.goal), f"of the clock {wall_ratio:.3f}")
    return good


def loaded() -> str:
    """Return how busy the machine is: a wall clock ratio means little when it is."""
    return f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
