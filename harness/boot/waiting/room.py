# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How much one boot may write: a guest, or a QEMU, that writes without end fills no disk.

Consoles and ledger have limits of their own, at which a boot goes on. This one is of all files of a record,
such as QEMU's own output and its trace; a boot that reaches it is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence.record import ONLY_THE_BOOT_NEEDS, Ending, EndingKind
from harness.machine.console import LEFT_OUT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.boot.watch import Watch
    from harness.machine.machine import Machine

EVIDENCE_BYTES = 768 << 20
"""Of a record's evidence: three ledgers at their limit; a packed record may hold 1 GiB."""
ALL_BYTES = 4 << 30
"""With what only the boot needs: what the guest wrote to its disks."""
KEPT_BYTES = 8 << 20
"""Of the beginning, and of the end, of a file that is cut."""
_OWN_LIMIT = frozenset({"ledger.jsonl", "serial.log", "debugcon.log"})
_EVERY = 1.0


class Room:
    """One boot's; asked at every look."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._last = 0.0

    def look(self, watch: Watch) -> Ending | None:
        """Return the end of a boot that has filled its record, in the phase that it is in by then."""
        now = self._machine.clock()
        if now - self._last < _EVERY:
            return None
        self._last = now
        needed, evidence = _sizes(self._machine.rundir)
        if evidence < EVIDENCE_BYTES and needed + evidence < ALL_BYTES:
            return None
        seen = watch.seen()
        what = f"its record reached {_mib(evidence)} of evidence and {_mib(needed)} of disks"
        return Ending(EndingKind.RECORD_FULL, seen.phase.label, seen.last_line, what)


def shorten(folder: Path) -> list[str]:
    """Cut the files of a full record and remove what only the boot needed; return what is cut, in words."""
    said = []
    for path in sorted(folder.iterdir()):
        if ONLY_THE_BOOT_NEEDS.match(path.name):
            path.unlink()
        elif path.name not in _OWN_LIMIT and (size := path.stat().st_size) > 2 * KEPT_BYTES:
            _cut(path, size)
            said.append(f"{path.name} lacks {size - 2 * KEPT_BYTES} of its {size} bytes")
    return said


def _cut(path: Path, size: int) -> None:
    """Keep the beginning and the end of a file, with a line between them."""
    with path.open("r+b") as file:
        file.seek(size - KEPT_BYTES)
        end = file.read(KEPT_BYTES)
        file.seek(KEPT_BYTES)
        file.write(b"\n" + LEFT_OUT % (size - 2 * KEPT_BYTES) + b"\n" + end)
        file.truncate()


def _sizes(folder: Path) -> tuple[int, int]:
    """Return the bytes on the disk of what only the boot needs, and of the evidence."""
    needed = evidence = 0
    for path in folder.iterdir():
        try:
            taken = path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
        if ONLY_THE_BOOT_NEEDS.match(path.name):
            needed += taken
        else:
            evidence += taken
    return needed, evidence


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
