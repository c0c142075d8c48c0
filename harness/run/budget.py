# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One host for the boots of several processes, as workers of pytest-xdist are; first come first served."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.run.pool import Demand

_POLL = 0.1
"""Seconds between two looks at the file; next to boots of many seconds, no time."""


class Budget:
    """A file that says what the host has, which boots run and which wait, and for whom.

    What a process that is gone has taken is free again.
    """

    _numbers = itertools.count()

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def create(cls, path: Path, capacity: Demand) -> Budget:
        """Make the file; ``capacity`` is what all processes have together."""
        made = cls(path)
        path.touch()
        with made._changed() as state:
            state["capacity"] = [capacity.cpus, capacity.memory_mib]
        return made

    @contextmanager
    def hold(self, demand: Demand) -> Iterator[None]:
        """Wait until ``demand`` fits beside the boots that run; what is larger than the host runs alone."""
        token = f"{os.getpid()}.{next(self._numbers)}"
        with self._changed() as state:
            state["waiting"].append(token)
        try:
            while not self._admitted(token, demand):
                time.sleep(_POLL)
            yield
        finally:
            with self._changed() as state:
                state["running"].pop(token, None)
                state["waiting"] = [other for other in state["waiting"] if other != token]

    def _admitted(self, token: str, demand: Demand) -> bool:
        with self._changed() as state:
            cpus, mib = state["capacity"]
            for taken_cpus, taken_mib in state["running"].values():
                cpus, mib = cpus - taken_cpus, mib - taken_mib
            fits = not state["running"] or (demand.cpus <= cpus and demand.host_mib <= mib)
            if state["waiting"][0] != token or not fits:
                return False
            state["waiting"].pop(0)
            state["running"][token] = [demand.cpus, demand.host_mib]
            return True

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        """Lock the file, give what it holds, and write it back."""
        with self._path.open("r+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state = json.loads(file.read() or '{"running": {}, "waiting": []}')
            state["waiting"] = [token for token in state["waiting"] if _lives(token)]
            state["running"] = {token: it for token, it in state["running"].items() if _lives(token)}
            yield state
            file.seek(0)
            file.truncate()
            json.dump(state, file)


def _lives(token: str) -> bool:
    """Return whether the process that a token belongs to is there; it is one of this user's."""
    try:
        os.kill(int(token.partition(".")[0]), 0)
    except ProcessLookupError:
        return False
    return True
