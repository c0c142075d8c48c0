# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Follow a boot on its consoles, line by line, while it happens."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.boot.phases import DONE, SILENT_UNTIL_BDS, Phase, firmware_phase_of, phase_of
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END, EndingKind, PhaseMark, Remark
from harness.evidence.signatures.signatures import shipped
from harness.evidence.text import plain_text

if TYPE_CHECKING:
    from harness.evidence.signatures.signatures import Signatures

LONGEST_LINE = 8192
"""Bytes; a longer line is looked at in pieces of this size."""

MOST_REMARKS, MOST_OF_ONE = 200, 50
"""How many lines are remarked on in all, and how many that one signature explains."""

MOST_REPEATS = 500
"""Lines of serial output in a row that may be the same, outside of the guest's document."""
STATUS = re.compile(
    r"BdsDxe: failed to (?:load|start) |Script Error Status: |^Error: Image at \S+ start failed: |^error: |"
    r"^(?:\.\./src/boot/\S+@\w+: )?(?:Error|Failed|Unable|Bad) \S.*: \S|^Unsupported$|"
    r"is not recognized as an internal or external command"
)
"""Lines of firmware, shell, GRUB and systemd-boot that tell what LoadImage or StartImage gave."""
_NEWLINE = re.compile(rb"[\r\n]+")
_CHOSEN = re.compile(rb"\x1b\[(?:30m(?:\x1b\[\d+m)*?\x1b\[47|7)m([^\x1b]*)")
"""An entry in reverse: black on light grey, as UEFI's terminals have it."""


LOOP = "endless-loop"
"""Name of the death that no signature tells, but how often a line comes."""


@dataclass(frozen=True)
class Death:
    """The line after which the guest does not go on, and what it means."""

    kind: EndingKind
    meaning: str
    remark: Remark


@dataclass(frozen=True)
class Seen:
    """What the consoles have shown so far; times in seconds since the guest was let run.

    ``status``: the latest line in which firmware or a loader says what an attempt to start something gave.
    ``chosen``: the entry that a menu shows in reverse, where one is the last that the serial console shows.
    """

    phase: Phase = Phase.LAUNCH
    marks: tuple[PhaseMark, ...] = (PhaseMark(Phase.LAUNCH.label, 0.0),)
    last_byte: float = 0.0
    last_line: str = ""
    status: str = ""
    chosen: str = ""
    death: Death | None = None
    remarks: tuple[Remark, ...] = ()


class Watch:
    """Fed by consoles on one thread, asked by the driver on another."""

    def __init__(self, done: re.Pattern[str] = DONE, signatures: Signatures | None = None) -> None:
        self._done = done
        self._signatures = signatures or shipped()
        self._lock = threading.Lock()
        self._pending = {"serial": b"", "debugcon": b""}
        self._in_document = False
        self._phase = Phase.LAUNCH
        self._marks = [PhaseMark(Phase.LAUNCH.label, 0.0)]
        self._last_byte = 0.0
        self._last_line = ""
        self._status = ""
        self._repeats = 0
        self._death: Death | None = None
        self._remarks: list[Remark] = []
        self._counts = Counter[str]()

    def feed(self, console: str, data: bytes, t: float) -> None:
        """Take the next bytes of ``serial`` or ``debugcon``, in any pieces."""
        with self._lock:
            self._last_byte = max(self._last_byte, t)
            self._enter(self._first_phase(console, data), t)
            *lines, rest = _NEWLINE.split(self._pending[console] + data)
            while len(rest) > LONGEST_LINE:
                lines.append(rest[:LONGEST_LINE])
                rest = rest[LONGEST_LINE:]
            self._pending[console] = rest
            for line in lines:
                self._line(console, plain_text(line).strip(), t)

    def begin_anew(self, t: float) -> None:
        """Begin with the phases anew: the guest is launched once more, ``t`` seconds after it was let run."""
        with self._lock:
            self._pending = {"serial": b"", "debugcon": b""}
            self._in_document = False
            self._phase = Phase.LAUNCH
            self._marks = [PhaseMark(Phase.LAUNCH.label, round(t, 4))]
            self._last_byte = max(self._last_byte, t)
            self._last_line = ""
            self._repeats = 0

    def seen(self) -> Seen:
        """Return what the consoles have shown up to now."""
        with self._lock:
            started = plain_text(self._pending["serial"]).strip()
            chosen = _CHOSEN.findall(self._pending["serial"])
            return Seen(
                phase=self._phase,
                marks=tuple(self._marks),
                last_byte=self._last_byte,
                last_line=started or self._last_line,
                status=self._status,
                chosen=plain_text(chosen[-1]).strip() if chosen else "",
                death=self._death,
                remarks=tuple(self._remarks),
            )

    def _first_phase(self, console: str, data: bytes) -> Phase:
        """Return the phase in which firmware must be that sends these bytes."""
        silent = self._phase is Phase.LAUNCH and console == "serial"
        return Phase.BDS if silent and data.startswith(SILENT_UNTIL_BDS) else Phase.FIRMWARE

    def _line(self, console: str, line: str, t: float) -> None:
        if not line:
            return
        if self._phase < Phase.BDS and (began := firmware_phase_of(line)) is not None:
            self._enter(began, t)
        if STATUS.search(line):
            self._status = line
        if console == "serial":
            self._count_repeats(line, t)
            self._last_line = line
            if line == DOCUMENT_END:
                self._in_document = False
            if (phase := phase_of(line, self._done)) is not None and not self._in_document:
                self._enter(phase, t)
                self._in_document = line == DOCUMENT_BEGIN
        found = self._signatures.match(line, quoted=self._in_document and console == "serial")
        if found is None:
            return
        remark = Remark(round(t, 4), console, found.name, line)
        if found.ends is not None and self._death is None:
            self._death = Death(found.ends, found.signature.says.meaning, remark)
        self._counts[found.name] += 1
        if len(self._remarks) < MOST_REMARKS and self._counts[found.name] <= MOST_OF_ONE:
            self._remarks.append(remark)

    def _count_repeats(self, line: str, t: float) -> None:
        self._repeats = self._repeats + 1 if line == self._last_line and not self._in_document else 1
        if self._repeats == MOST_REPEATS and self._death is None:
            remark = Remark(round(t, 4), "serial", LOOP, line)
            self._death = Death(EndingKind.HANG, "the same line over and over: an endless loop", remark)

    def _enter(self, phase: Phase, t: float) -> None:
        if phase > self._phase:
            if phase is Phase.SEC and self._phase is Phase.FIRMWARE:
                t = self._marks.pop().t  # the first byte was SEC's
            self._phase = phase
            self._marks.append(PhaseMark(phase.label, round(t, 4)))
