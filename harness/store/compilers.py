# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How many compilers a build starts at once: one for each processor, as far as memory goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.progress import Progress

COMPILER_MIB = 300
"""The largest compiler of QEMU took 246 MiB (gcc 12, -O2); those of edk2 take less."""


def compilers(what: str, progress: Progress) -> int:
    """Return how many compilers ``what`` may start now; say so where memory allows fewer than processors."""
    cpus, available = len(os.sched_getaffinity(0)), host_mib("MemAvailable")
    jobs = fitting(cpus, available)
    if jobs < cpus:
        progress(f"{what}: {jobs} at once in the place of {cpus}; {available} MiB of memory are available")
    return jobs


def fitting(cpus: int, available_mib: int) -> int:
    """Return the number of compilers that fit a host's processors and memory; at least one."""
    return max(1, min(cpus, available_mib // COMPILER_MIB))


def host_mib(line: str) -> int:
    """Return a line of ``/proc/meminfo`` in MiB."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(it.split()[1]) for it in lines if it.startswith(f"{line}:")) >> 10
