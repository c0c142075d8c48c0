# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Ingredients made in the background: one thread fetches, another compiles, and others may boot meanwhile.

Each thread has ingredients of its own over the same store, whose locks keep them apart. What compiles leaves
processors to boots: its thread, and so all that it starts, has a low priority.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.artifacts.named import QEMU, Named
from harness.artifacts.wanted import have, is_compiled
from harness.errors import HarnessError
from harness.store.build_steps import end_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.artifacts.ingredients import Ingredients
    from harness.progress import Progress

_NICE = 10
"""Boots get nine tenths of a processor that a compiler wants, too (sched(7): a tenth for each step)."""
_COMPILED = {QEMU: 180.0, "firmware": 130.0, "guest": 140.0, "kernel": 5.0}
_FETCHED, _PATIENCE = 10.0, 5.0
"""Seconds on two processors, to say how long waiting may take."""


@dataclass(frozen=True)
class Work:
    """What is being made, and since when (seconds of `time.monotonic`)."""

    named: Named
    since: float


class Making:
    """Makes things in their order, downloads beside compilation, each once; none twice for failing."""

    def __init__(self, things: Iterable[Named], copy: Callable[[Progress], Ingredients]) -> None:
        """Sort the things; ``copy`` returns ingredients for one thread, which tell the given progress."""
        self._copy = copy
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._over: dict[Named, Exception | None] = {}
        self._work: dict[str, Work] = {}
        self._threads: list[threading.Thread] = []
        self._stopped = False
        ingredients = copy(self._tell)
        every = tuple(dict.fromkeys(things))
        self._compiled = tuple(it for it in every if is_compiled(it, ingredients))
        self._fetched = tuple(it for it in every if it not in self._compiled)

    def start(self) -> None:
        """Begin, in threads that end with the program."""
        for name, things, nice in (("fetch", self._fetched, 0), ("compile", self._compiled, _NICE)):
            thread = threading.Thread(target=self._make, args=(name, things, nice), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Make nothing more: builds end at once with all that they have started, and leave nothing."""
        self._stopped = True
        end_steps()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def over(self, things: Iterable[Named]) -> bool:
        """Return whether all of these are made, or cannot be; what nobody asked to make counts as made."""
        with self._changed:
            return not any(it not in self._over for it in things if it in self._all)

    def error(self, things: Iterable[Named]) -> HarnessError | None:
        """Return why the first of these that could not be made could not; raises an error that is ours."""
        with self._changed:
            error = next((error for it in things if (error := self._over.get(it)) is not None), None)
        if error is not None and not isinstance(error, HarnessError):
            raise error
        return error

    def wait(self, seconds: float) -> None:
        """Return when something more is over, or there is a line to tell, or the time has passed."""
        with self._changed:
            over = len(self._over)
            self._changed.wait_for(lambda: len(self._over) > over or self._lines, seconds)

    def lines(self) -> list[str]:
        """Return the lines of progress since the last call, for the thread that may write."""
        with self._changed:
            lines, self._lines = self._lines, []
        return lines

    def __str__(self) -> str:
        """Return what is being made, how much is left, and about how long that takes."""
        with self._changed:
            work, done = [*self._work.values()], len(self._over)
            left = max(self._left(self._compiled), self._left(self._fetched))
        now = time.monotonic()
        making = ", ".join(f"{it.named.kind} {it.named.name}".removeprefix(f"{QEMU} ") for it in work)
        seconds = f" ({max(now - it.since for it in work):.0f} s)" if work else ""
        return f"making {making or 'nothing'}{seconds}; {done} of {len(self._all)} made, {_about(left)} left"

    @property
    def _all(self) -> Sequence[Named]:
        return (*self._compiled, *self._fetched)

    def _left(self, things: Sequence[Named]) -> float:
        """Return about how many seconds the rest of a thread's things take."""
        since = {it.named: it.since for it in self._work.values()}
        seconds = 0.0
        for it in things:
            if it not in self._over:
                whole = _COMPILED.get(it.kind, _FETCHED) if it in self._compiled else _FETCHED
                seconds += max(whole - (time.monotonic() - since[it] if it in since else 0.0), 0.0)
        return seconds

    def _make(self, thread: str, things: Sequence[Named], nice: int) -> None:
        os.nice(nice)  # of this thread alone, and of what it starts (nice(2), NPTL)
        ingredients = self._copy(self._tell)
        for it in things:
            if self._stopped:
                return
            with self._changed:
                self._work[thread] = Work(it, time.monotonic())
            error: Exception | None = None
            try:
                have(it, ingredients)
            except Exception as caught:  # noqa: BLE001  # whatever it is, it belongs to the cells that need it
                error = caught
            with self._changed:
                self._over[it] = error
                del self._work[thread]
                self._changed.notify_all()

    def _tell(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()


def _about(seconds: float) -> str:
    """Return a time to wait in words; it is a guess."""
    return "less than a minute" if seconds < 60 else f"about {round(seconds / 60)} min"
