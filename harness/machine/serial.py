# SPDX-License-Identifier: BSD-2-Clause-Patent
"""pexpect over a machine's serial console, for menus and shells that a guest shows before its kernel runs."""

from __future__ import annotations

import codecs
import re
import threading
import time
from typing import TYPE_CHECKING

import pexpect
from pexpect.spawnbase import SpawnBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.machine.machine import Machine

    _TextSpawn = SpawnBase[str]
else:
    _TextSpawn = SpawnBase  # generic in its type stubs alone

WINDOW = 4096
"""Characters at the end of what was read in which a pattern is looked for."""
MOST_AHEAD = 1 << 20
"""Bytes kept for a reader that lags behind, or never comes again: the latest."""
MOST_BETWEEN = 4 << 20
"""Bytes in which a pattern must be found: menus and answers are kilobytes, this is a guest that floods."""
_LOOK_SECONDS = 0.25
# ECMA-48 control sequences and two-character escapes; what may be the beginning of one waits for its rest. No
# terminal takes a sequence of any length, and a guest could send one without end.
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|[@-Z\\-_78=>])")
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]{0,64}[ -/]{0,8})?\Z")


def split_sequences(data: bytes) -> tuple[bytes, bytes]:
    """Return the data without terminal sequences, and the beginning of one at its end."""
    begun = _BEGUN.search(data)
    end = begun.start() if begun else len(data)
    return _SEQUENCE.sub(b"", data[:end]), data[end:]


ENTER = "\r"


class Serial(_TextSpawn):
    """What the console says, without terminal sequences; make it before the guest is let run.

    pexpect's ``expect``, ``before`` and so on work on it; ``timeout`` is in seconds, for each of them.
    ``gone`` says why a guest has ended in a QEMU that lives, "" before: pexpect's EOF comes then, too.
    """

    def __init__(self, machine: Machine, *, timeout: float, gone: Callable[[], str] = lambda: "") -> None:
        super().__init__(timeout=timeout, searchwindowsize=WINDOW, encoding="utf-8", codec_errors="replace")
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._machine = machine
        self._gone = gone
        self._arrived = threading.Condition()
        self._pending = b""
        self._ready = bytearray()
        self._since_match = 0
        machine.watch("serial", self._feed)

    def _feed(self, data: bytes, _t: float) -> None:
        with self._arrived:
            clean, self._pending = split_sequences(self._pending + data)
            self._ready += clean
            del self._ready[:-MOST_AHEAD]
            self._arrived.notify_all()

    def wait_for(self, pattern: str) -> str:
        """Wait for a pattern and give what came before it; pexpect's EOF or TIMEOUT when it does not come."""
        self._since_match = 0
        self.expect(pattern)
        return str(self.before)

    @property
    def missed(self) -> str:
        """How a pattern that did not come was missed: for a message, after pexpect's TIMEOUT."""
        return f"not in {MOST_BETWEEN >> 20} MiB" if self._flooded else f"not within {self.timeout:g} s"

    @property
    def _flooded(self) -> bool:
        return self._since_match >= MOST_BETWEEN

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> str:
        """Return what has come, at most ``size`` bytes; pexpect's EOF once QEMU has ended, else its TIMEOUT.

        TIMEOUT, too, when `MOST_BETWEEN` bytes have come since `wait_for` began.
        """
        if self._flooded:
            raise pexpect.TIMEOUT(self.missed)
        seconds = self.timeout if timeout is None or timeout < 0 else timeout
        give_up = time.monotonic() + (seconds or 0)
        with self._arrived:
            while not self._ready:
                if why := self._end():
                    raise pexpect.EOF(f"the guest has ended: {why}")
                left = give_up - time.monotonic()
                if left <= 0:
                    raise pexpect.TIMEOUT("the console was silent")
                self._arrived.wait(min(left, _LOOK_SECONDS))
            data = bytes(self._ready[:size])
            del self._ready[:size]
        self._since_match += len(data)
        return self._text.decode(data)

    def wait_quiet(self, pause: float) -> None:
        """Wait until nothing has come for ``pause`` seconds; what came stays to be read."""
        give_up = time.monotonic() + (self.timeout or 0)
        with self._arrived:
            while self._arrived.wait(pause) and time.monotonic() < give_up:
                pass

    def send(self, text: str) -> int:
        """Type ``text``."""
        self._machine.serial_write(text.encode())
        return len(text)

    def sendline(self, text: str = "") -> int:
        """Type ``text`` and the Enter key."""
        return self.send(text + ENTER)

    def isalive(self) -> bool:
        """Return whether the guest may still answer."""
        return not self._end()

    def _end(self) -> str:
        return self._gone() or ("" if self._machine.ended is None else "QEMU has")

    def __str__(self) -> str:
        """Return the console's last words, which pexpect puts into its errors."""
        return f"the console said last: {last_words(self)}"


def last_words(serial: Serial) -> str:
    """Return the end of what was read since the last match, for a message."""
    return " ".join(str(serial.before or "").split())[-200:]
