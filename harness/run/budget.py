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

from harness.store.file_tree import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.run.pool import Demand

_POLL = 0.1
"""Seconds between two looks at the file; next to boots of many seconds, no time."""


BOOT, GUEST = "boot", "guest"
"""What shares a host: boots, and guests at work in a test, which may itself wait for a boot meanwhile."""


class Budget:
    """A file that says what the host has, which boots run and which wait, and for whom.

    What a process that is gone has taken is free again. No boot waits for a guest at work, which may last as
    long as a test wants: the first boot in the queue starts when no other runs, whatever guests have.
    """

    _numbers = itertools.count()

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def create(cls, path: Path, capacity: Demand) -> Budget:
        """Make the file; ``capacity`` is what all processes have together."""
        has = [capacity.cpus, capacity.memory_mib, capacity.asids]
        write_atomically(path, json.dumps({"capacity": has, "running": {}, "waiting": []}))
        return cls(path)

    @contextmanager
    def hold(self, demand: Demand, kind: str = BOOT) -> Iterator[None]:
        """Wait until ``demand`` fits beside the boots that run; what is larger than the host runs alone.

        A ``GUEST`` comes after the boots that wait; a second one of the same process does not wait.
        """
        token = f"{os.getpid()}.{next(self._numbers)}.{kind}"
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
            wanted = [demand.cpus, demand.host_mib, demand.asids]
            taken = [sum(each) for each in zip([0, 0, 0], *state["running"].values(), strict=True)]
            left = (has - used for has, used in zip(state["capacity"], taken, strict=True))
            fits = all(want <= room for want, room in zip(wanted, left, strict=True))
            if not _has_turn(token, state, fits=fits):
                return False
            state["waiting"].remove(token)
            state["running"][token] = wanted
            return True

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        """Lock the file, give what it holds, and write it back.

        In one go, over all that was there: a process that is killed here leaves a whole file to the others.
        """
        with self._path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            there = file.read()
            state = json.loads(there)
            state["waiting"] = [token for token in state["waiting"] if _lives(token)]
            state["running"] = {token: it for token, it in state["running"].items() if _lives(token)}
            yield state
            os.pwrite(file.fileno(), json.dumps(state).encode("ascii").ljust(len(there)), 0)


def _has_turn(token: str, state: dict[str, Any], *, fits: bool) -> bool:
    waiting = state["waiting"]
    ahead = waiting[: waiting.index(token)]
    if _is_boot(token):
        return not any(map(_is_boot, ahead)) and (fits or not any(map(_is_boot, state["running"])))
    process = token.partition(".")[0]
    if any(it.partition(".")[0] == process and not _is_boot(it) for it in state["running"]):
        return True
    return not ahead and not any(map(_is_boot, waiting)) and (fits or not state["running"])


def _is_boot(token: str) -> bool:
    return token.endswith(f".{BOOT}")


def _lives(token: str) -> bool:
    """Return whether the process that a token belongs to is there, whoever's it is."""
    try:
        os.kill(int(token.partition(".")[0]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
