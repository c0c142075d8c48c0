# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A person at a terminal beside a boot: the guest's console as it speaks, and keys that reach it.

With a keyboard the terminal is raw: every key, Ctrl-C too, goes to the guest, and ``~.`` at the beginning of
a line is the way out, as in ssh. Without one the console is printed, line by line, and nothing more.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import select
import termios
import threading
import tty
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from harness.boot.hold import ways_in
from harness.evidence.record import EndingKind
from harness.evidence.text import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from harness.evidence.record import Ending
    from harness.machine.machine import Machine

ESCAPE, LEAVE = b"~", b"."
_LOOK_SECONDS = 0.25
_MOST_KEYS = 1024
_END: None = None
# A guest may move the cursor and choose colours. What makes a terminal answer, or changes more than its
# picture (reports, titles, resizing, command strings), stays away from it.
_CSI = re.compile(rb"\x1b\[([0-?]{0,64})([ -/]{0,8})([@-~])")
_DRAWING = frozenset(b"@ABCDEFGHJKLMPSTXZ`abdefghlmrsu")
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]{0,64}[ -/]{0,8})?\Z")


class Keys:
    """What a person types, without the way out: ``~.`` at the beginning of a line; ``~~`` types one ``~``."""

    def __init__(self) -> None:
        self.left = False
        self._begin = True
        self._escape = False

    def feed(self, data: bytes) -> bytes:
        """Return what of ``data`` is for the guest; ``left`` says whether the person has left."""
        out = bytearray()
        for number in data:
            key = bytes((number,))
            if self._escape:
                self._escape = False
                if key == LEAVE:
                    self.left = True
                    return bytes(out)
                if key != ESCAPE:
                    out += ESCAPE
            elif key == ESCAPE and self._begin:
                self._escape = True
                continue
            out += key
            self._begin = key in {b"\r", b"\n"}
        return bytes(out)


class Screen:
    """What a guest says, for a terminal: sequences that draw pass, all others lose their escape."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may go to the terminal now; the beginning of a sequence waits for its end."""
        data = self._rest + data
        begun = _BEGUN.search(data)
        end = begun.start() if begun else len(data)
        self._rest = data[end:]
        out, at = bytearray(), 0
        for match in _CSI.finditer(data, 0, end):
            out += _tame(data[at : match.start()])
            if match[3][0] in _DRAWING and not match[2]:
                out += match[0]
            at = match.end()
        return bytes(out + _tame(data[at:end]))


def _tame(data: bytes) -> bytes:
    """Leave line ends, tabs, bells and backspaces; an escape is shown as a sign of its own."""
    return re.sub(rb"[\x00-\x06\x0b\x0c\x0e-\x1f\x7f]", b"", data.replace(b"\x1b", "␛".encode()))


class Lines:
    """What a guest says, as whole lines without sequences: for a file, or for a pipe."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are whole now."""
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        return plain_text(whole + newline).encode()

    def last(self) -> bytes:
        """Return what came after the last line's end."""
        rest, self._rest = self._rest, b""
        return plain_text(rest + b"\n").encode() if rest.strip() else b""


class Terminal:
    """An attendant (`harness.boot.talk.Attendant`): standard output, and a keyboard where there is one.

    ``hold``: the machine stays after the boot's end, until the person leaves; ``hold_on_fail``: after an end
    other than that of a whole boot, with doors for gdb. ``said`` receives sentences for
    the person. As a context manager it gives the terminal back as it was.
    """

    def __init__(
        self,
        out: BinaryIO,
        keyboard: int | None,
        said: Callable[[str], None],
        *,
        hold: bool = False,
        hold_on_fail: bool = False,
        by_gdb: bool = False,
    ) -> None:
        self.by_gdb = by_gdb
        self.types = keyboard is not None or by_gdb
        self.left = False
        """Whether the person has left before the machine was done."""
        self._out = out
        self._keyboard = keyboard
        self._said = said
        self._hold = hold
        self._hold_on_fail = hold_on_fail
        self._screen: Screen | Lines = Lines() if keyboard is None else Screen()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._printer = threading.Thread(target=self._print, name="harness-print", daemon=True)
        self._reader = threading.Thread(target=self._read, name="harness-keys", daemon=True)
        self._over = threading.Event()
        self._machine: Machine | None = None
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if self._keyboard is not None:
            self._before = termios.tcgetattr(self._keyboard)
            tty.setraw(self._keyboard, termios.TCSANOW)
        self._printer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_keys()
        if isinstance(self._screen, Lines):
            self._queue.put(self._screen.last())
        self._queue.put(_END)
        self._printer.join()
        if self._keyboard is not None and self._before is not None:
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._before)

    def attach(self, machine: Machine) -> None:
        """Show the console from its first byte on."""
        self._machine = machine
        machine.watch("serial", self._show)

    def listen(self) -> None:
        """Type what the person types."""
        if self._keyboard is not None:
            self.say("this is the guest's console; ~. at the beginning of a line ends the guest")
            self._reader.start()

    def stay(self, machine: Machine, ending: Ending) -> None:
        """Keep a machine that is to be held until the person leaves, or QEMU ends."""
        failed = ending.kind is not EndingKind.COMPLETED
        held = self._hold or (self._hold_on_fail and failed)
        if held and not self.left and machine.ended is None:
            out = "~. ends QEMU" if self._keyboard is not None else "Ctrl-C ends QEMU"
            self.say(f"the boot has ended: {ending.kind} in phase {ending.phase}; the machine is held, {out}")
            for line in ways_in(machine, console=self._keyboard is None) if self._hold_on_fail else ():
                self.say(line)
            with contextlib.suppress(KeyboardInterrupt):
                machine.wait(lambda: self.left or machine.ended is not None or None, float("inf"))
        self._end_keys()

    def _end_keys(self) -> None:
        """Have no key on its way to a machine that is about to close."""
        self._over.set()
        if self._reader.ident is not None:
            self._reader.join()

    def say(self, text: str) -> None:
        """Tell the person a sentence; a raw terminal needs the way back to the line's beginning, too."""
        self._said(f"{text}\r" if self._keyboard is not None else text)

    def _show(self, data: bytes, _t: float) -> None:
        if shown := self._screen.feed(data):
            self._queue.put(shown)

    def _print(self) -> None:
        """Print on a thread of its own: a reader that stops, such as a pager, must not stop the guest."""
        with contextlib.suppress(OSError, ValueError):
            while (data := self._queue.get()) is not _END:
                self._out.write(data)
                self._out.flush()

    def _read(self) -> None:
        assert self._keyboard is not None
        assert self._machine is not None
        keys = Keys()
        while not self._over.is_set():
            ready, _, _ = select.select([self._keyboard], [], [], _LOOK_SECONDS)
            if not ready:
                continue
            data = os.read(self._keyboard, _MOST_KEYS)
            typed = keys.feed(data)
            with contextlib.suppress(OSError):  # QEMU has gone
                self._machine.serial_write(typed)
            if keys.left or not data:
                self.left = True
                self._machine.quit()
                return
