# SPDX-License-Identifier: BSD-2-Clause-Patent
"""While a run goes on: what boots and for how long, how many boots are over, what has failed so far.

On a terminal this is a line below pytest's own output, elsewhere a plain line a minute. It is read from the
run's folder, so that it tells of the boots of xdist's workers, too.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

import pytest

from harness.evidence.record import INDEX
from harness.pytest_plugin.ahead import AHEAD
from harness.pytest_plugin.cell_items import SESSION
from harness.pytest_plugin.items import CHOSEN
from harness.run.replay import TRAITS
from harness.store.packing import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from harness.pytest_plugin.below import Below

_LOOK = 1.0
_PLAIN = 60.0
"""Seconds between two looks at the run's folder, and between two plain lines."""
LIVE = pytest.StashKey["Watcher"]()


@dataclass(frozen=True)
class Now:
    """What a run is at. ``booting`` are names with seconds, the longest first; ``failed`` are cells."""

    done: int
    wanted: int
    booting: tuple[tuple[str, float], ...]
    failed: tuple[str, ...]
    making: str = ""
    """What other boots wait for."""

    def __str__(self) -> str:
        """Return it as a line."""
        return self.told(sys.maxsize)

    def told(self, width: int) -> str:
        """Return it as a line of ``width`` characters at most, where one boot's name fits, of all that do."""
        lasts = [f", the last is {self.failed[-1]}", ""] if self.failed else [""]
        names = range(max(1, len(self.booting)), 0, -1)
        lines = [self._line(last, shown) for last in lasts for shown in names]
        return next((line for line in lines if len(line) <= width), lines[-1])

    def _line(self, last: str, names: int) -> str:
        """Return it with the names of so many boots, and behind the failures with ``last``."""
        told = [f"{self.done} of {max(self.wanted, self.done + len(self.booting))} boots"]
        if self.failed:
            told.append(f"{len(self.failed)} failed{last}")
        if self.booting:
            now = ", ".join(f"{name} ({seconds:.0f} s)" for name, seconds in self.booting[:names])
            more = len(self.booting) - names
            told.append(f"now {now}" + (f" and {more} more" if more > 0 else ""))
        if self.making:
            told.append(self.making)
        return "; ".join(told)


def look(records: Path, wanted: int, judged: Iterable[str], failed: Sequence[str], now: float) -> Now:
    """Return what the run with this folder is at.

    ``judged`` are cells that boot no more, whatever their folders say; ``now`` is in seconds since 1970.
    """
    done, booting, over = 0, [], set(judged)
    for path in records.iterdir() if records.is_dir() else ():
        if path.name.endswith(SUFFIX) or (path / INDEX).is_file():
            done += 1
        elif path.name not in over:
            try:
                booting.append((path.name, max(0.0, now - (path / TRAITS).stat().st_mtime)))
            except OSError:
                continue  # no boot's folder, or not yet one
    return Now(done, wanted, tuple(sorted(booting, key=lambda it: -it[1])), tuple(failed))


class Watcher:
    """Looks at the run's folder in a thread of its own, and shows what it sees."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._judged: dict[str, None] = {}
        self._failed: dict[str, None] = {}
        self._writer = config.get_terminal_writer()
        self._pytests = self._writer._file  # noqa: SLF001  # pytest's own place
        self._file = _duplicate(self._pytests)
        self._below: Below | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the line; harmless when there is none."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._below is not None:
            self._writer._file = self._pytests  # noqa: SLF001
            self._below.stop()
            self._below = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the cell of a test that is over, in a worker of xdist too."""
        _, *names = report.nodeid.split("::")
        if len(names) == 2 and report.when == "teardown":
            self._judged[names[0]] = None
        if report.failed:
            self._failed[names[0] if names else report.nodeid] = None

    def now(self) -> Now:
        """Return what the run is at."""
        stash = self._config.stash
        session = stash[SESSION]
        wanted = {
            (it.cell, attempt)
            for one in stash[CHOSEN]
            for it in one.planned
            if not it.lacks
            for attempt in session.attempts(one.plan, it.cell)
        }
        now = look(session.records, len(wanted), [*self._judged], [*self._failed], time.time())
        ahead = stash.get(AHEAD, None)
        return replace(now, making=ahead.told()) if ahead is not None else now

    def _watch(self) -> None:
        told = time.monotonic()
        while not self._over.wait(_LOOK):
            now = self.now()
            if not now.booting and not now.making:
                continue
            if self._may_draw():
                self._draw()
                return  # the line looks by itself
            if time.monotonic() - told >= _PLAIN:
                told = time.monotonic()
                self._tell(now)

    def _may_draw(self) -> bool:
        """Return whether pytest writes to a terminal, and tests do not."""
        is_terminal = self._file.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        return is_terminal and self._config.option.capture != "no"

    def _draw(self) -> None:
        from harness.pytest_plugin.below import Below  # noqa: PLC0415  # rich takes a while to import

        begun = self._writer._current_line  # noqa: SLF001
        self._below = Below(self._file, lambda width: self.now().told(width), begun)
        self._below.start()
        self._writer._file = self._below  # noqa: SLF001

    def _tell(self, now: Now) -> None:
        """Write a plain line; pytest then begins its own anew."""
        begun = self._writer._current_line  # noqa: SLF001
        self._config.pluginmanager.getplugin("terminalreporter").currentfspath = None
        self._file.write(f"\nharness: {now}\n" if begun else f"harness: {now}\n")
        self._file.flush()


def _duplicate(file: IO[str]) -> IO[str]:
    """Return what writes to the same place, also while a test's output is captured."""
    try:
        return os.fdopen(os.dup(file.fileno()), "w", encoding="utf-8", errors="replace")
    except (OSError, AttributeError):
        return file  # no file of the system's


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Show what the run is at while its tests run; in a worker of xdist its controller does."""
    config = session.config
    quiet = hasattr(config, "workerinput") or config.option.collectonly or config.option.replay is not None
    if quiet or not config.pluginmanager.hasplugin("terminalreporter"):
        return (yield)
    config.stash[LIVE] = watcher = Watcher(config)
    config.pluginmanager.register(watcher)
    watcher.start()
    try:
        return (yield)
    finally:
        watcher.stop()


def pytest_enter_pdb(config: pytest.Config) -> None:
    """Leave the terminal to the debugger."""
    if LIVE in config.stash:
        config.stash[LIVE].stop()
