# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest's console: drained from the first byte to the last, kept with times, never slowing the guest.

``<name>.log`` holds the raw bytes. ``<name>.times.jsonl`` says when they came: ``{"offset": n, "t": s}``
means that the bytes from ``offset`` up to the next entry's arrived ``s`` seconds after the guest was let run
(resolution: ``BATCH_SECONDS``). Of a guest that says more than ``CAP``, the log holds the beginning, a line
that says how much is left out, and the end; a last entry with ``dropped`` counts what it lacks from there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING

from harness.machine.background import background

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

BATCH_SECONDS = 0.005
"""After a read the console rests this long: one wake-up for many of the guest's single bytes."""

CAP = 16 << 20
"""Bytes kept in the log; the last ``TAIL_BYTES`` are as well, what lies between is watched and counted."""

LEFT_OUT = b"=====HARNESS-LEFT-OUT===== %d bytes"
"""The line between a log's beginning and end."""

PIPE_BYTES = 1 << 20
TAIL_BYTES = 256 << 10
_READ = 64 << 10
_READS_PER_TURN = 4
"""All consoles share a thread: a guest that floods its own may not keep the others waiting."""


class Console:
    """One output pipe of QEMU, and perhaps an input pipe."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        clock: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
        cap: int = CAP,
    ) -> None:
        """Create the pipes and the files.

        ``clock`` gives seconds since the guest was let run; ``changed`` is called after all watchers.
        """
        self.name = name
        self.total = 0
        """Bytes that arrived."""
        self.dropped = 0
        """Bytes of them that are not in the log."""
        self.eof = False
        self.tail = b""
        """The last bytes, at most ``TAIL_BYTES``."""
        self._clock = clock
        self._changed = changed
        self._cap = cap
        self._watchers: list[Callable[[bytes, float], None]] = []
        self._log: FileIO = (folder / f"{name}.log").open("wb", buffering=0)
        self._times: FileIO = (folder / f"{name}.times.jsonl").open("wb", buffering=0)
        self._out, self.guest_out = os.pipe()
        self.guest_in, self._in = os.pipe()
        with contextlib.suppress(OSError):  # an unprivileged user may be over his limit of pipe memory
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._out, False)
        self._rest: asyncio.TimerHandle | None = None

    def watch(self, watcher: Callable[[bytes, float], None]) -> None:
        """Call ``watcher(data, t)`` on the loop's thread for all data; to miss nothing, before ``start``."""
        self._watchers.append(watcher)

    def start(self) -> None:
        """Begin to read; QEMU has inherited its ends (``guest_out``, ``guest_in``), which are closed here."""
        self._close_guest_ends()
        background().call(self._listen)

    def write(self, data: bytes) -> None:
        """Send bytes to the guest; blocks while the pipe is full, raises ``BrokenPipeError`` without QEMU."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._in, view) :]

    def drain(self) -> None:
        """On the loop's thread: take what is in the pipe now (a flooding guest may be adding more)."""
        for _ in range(2 * PIPE_BYTES // _READ):
            if not self._read_once():
                return

    def close(self) -> None:
        """Take the rest, stop reading, close everything. Idempotent."""
        self._close_guest_ends()
        background().call(self._close)

    def _close_guest_ends(self) -> None:
        for end in (self.guest_out, self.guest_in):
            if end >= 0:
                os.close(end)
        self.guest_out = self.guest_in = -1

    def _listen(self) -> None:
        self._rest = None
        if not self.eof and self._out >= 0:
            background().loop.add_reader(self._out, self._readable)

    def _readable(self) -> None:
        background().loop.remove_reader(self._out)
        for _ in range(_READS_PER_TURN):
            if not self._read_once():
                break
        if not self.eof:
            self._rest = background().loop.call_later(BATCH_SECONDS, self._listen)

    def _read_once(self) -> bool:
        """Take one piece; False when there is none now, or will be none any more."""
        if self.eof or self._out < 0:
            return False
        try:
            data = os.read(self._out, _READ)
        except BlockingIOError:
            return False
        if data:
            self._keep(data)
        else:
            self.eof = True
        return bool(data)

    def _keep(self, data: bytes) -> None:
        t = self._clock()
        room = max(0, self._cap - self.total) if not self.dropped else 0
        stored = self._store(data[:room], t) if room else 0
        self.total += len(data)
        self.dropped += len(data) - stored
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        for watcher in self._watchers:
            watcher(data, t)
        self._changed()

    def _store(self, data: bytes, t: float) -> int:
        """Write to the files; give how much was stored. A full disk costs the log its rest, not the run."""
        try:
            self._times.write(_entry(offset=self.total, t=t))
            return self._log.write(data) or 0
        except OSError:
            return 0

    def _keep_end(self) -> None:
        """Add the last bytes to a log that was full: a guest's last words say the most."""
        offset, end = self.total - self.dropped, self.tail[-self.dropped :]
        left_out = self.dropped - len(end)
        self._times.write(_entry(offset=offset, t=self._clock(), dropped=left_out))
        self._log.write((b"\n" + LEFT_OUT % left_out + b"\n" if left_out else b"") + end)
        self.dropped = left_out

    def _close(self) -> None:
        if self._out < 0:
            return
        self.drain()
        if self._rest is not None:
            self._rest.cancel()
        background().loop.remove_reader(self._out)
        os.close(self._out)
        os.close(self._in)
        self._out = self._in = -1
        if self.dropped:
            with contextlib.suppress(OSError):
                self._keep_end()
        self._log.close()
        self._times.close()


def _entry(*, t: float, **fields: int) -> bytes:
    return json.dumps({**fields, "t": round(t, 4)}).encode() + b"\n"
