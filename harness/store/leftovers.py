# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Processes that outlived the harness which had started them, found by a setting in their environment."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from harness.errors import HostError

_PATIENCE = 10.0  # seconds
_POLL = 0.02


def end_processes(setting: str) -> int:
    """Kill this user's processes with ``NAME=value`` in their environment; returns how many there were.

    Unlike a process id, which may be another process's by now, a setting that only the harness makes tells
    for sure whose child it is. HarnessError when one does not end.
    """
    ended: set[int] = set()
    give_up = time.monotonic() + _PATIENCE
    while found := _with(setting.encode()):
        for pid in found:
            _kill(pid)
        ended |= found
        if time.monotonic() > give_up:
            raise HostError(f"processes {sorted(found)} of an earlier build do not end", "end them by hand")
        time.sleep(_POLL)
    return len(ended)


def _with(setting: bytes) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if setting in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
        except OSError:
            continue  # another user's, or gone by now
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
