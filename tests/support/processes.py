# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Processes that tests start, watch and kill."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

HOLDER = """
import sys, time
from pathlib import Path
from harness.machine.machine import Machine
from harness.machine.spec import MachineSpec
spec = MachineSpec(qemu=Path(sys.argv[1]), firmware=Path("/f"), memory_mib=1, accel="tcg", cmdline="[]")
with Machine(spec, Path(sys.argv[2])) as machine:
    machine.cont()
    Path(sys.argv[2], "pid.part").write_text(str(machine.pid))
    Path(sys.argv[2], "pid.part").rename(Path(sys.argv[2], "pid"))
    time.sleep(60)
"""
"""What a process to be killed runs: it starts a machine, says its pid and waits for the end."""


def wait_for(path: Path) -> int:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, f"no {path.name}"
        time.sleep(0.02)
    return int(path.read_text())


def alive(pid: int) -> bool:
    """Return whether the process runs; a zombie that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.02)
    return True
