# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One event loop on one thread per process: QMP, consoles and process exits of all machines run on it.

QEMU is also *started* from this thread. Linux sends a child's parent-death signal when the thread that forked
it ends (prctl(2), PR_SET_PDEATHSIG), not when the process does, so the forking thread must live as long as
the harness: a test's worker thread would take its QEMU along too early.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class Background:
    """An asyncio loop on a daemon thread, called from ordinary threads."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="harness-machine", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine: Coroutine[object, object, T], seconds: float) -> T:
        """Run on the loop, give back the result; raise ``TimeoutError`` (and cancel) after ``seconds``."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            raise TimeoutError(f"no answer within {seconds:g} s") from None
        finally:
            future.cancel()  # a no-op once done; also reached on Ctrl-C

    def call(self, function: Callable[[], T], seconds: float = 30.0) -> T:
        """Call a plain function on the loop's thread."""

        async def wrapped() -> T:
            return function()

        return self.run(wrapped(), seconds)

    def stop(self) -> None:
        """Cancel what is left and end the thread; QEMU processes that still run die with it."""

        async def cancel_all() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        with contextlib.suppress(TimeoutError, concurrent.futures.CancelledError):
            self.run(cancel_all(), 5.0)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self.loop.close()


_lock = threading.Lock()
_current: Background | None = None


def background() -> Background:
    """Return this process's loop, starting it on first use."""
    global _current  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _current is None:
            _current = Background()
        return _current


def _stop_at_exit() -> None:
    if _current is not None:
        _current.stop()


def _forget_after_fork() -> None:
    # The thread does not exist in a forked child; its loop's descriptors belong to the parent.
    global _current, _lock
    _current, _lock = None, threading.Lock()


atexit.register(_stop_at_exit)
os.register_at_fork(after_in_child=_forget_after_fork)
