# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The memory of a running guest, as the host has it: what an emulated or a plain guest wrote can be read.

QEMU's memory is a memfd that it shares, and its files are open to whoever started it. On hardware, a
confidential guest's private pages are elsewhere: here they read as zeros.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.machine.memory_layout import configured_ram

if TYPE_CHECKING:
    from types import TracebackType

    from harness.intervals import IntervalSet
    from harness.machine.machine import Machine

_LINK = "/memfd:memory-backend-memfd"


class GuestMemory:
    """A context manager; OSError at its start where the memory is not to be had."""

    def __init__(self, machine: Machine) -> None:
        self.ram: IntervalSet = configured_ram(machine.spec.memory_mib)
        self._pid = machine.pid
        self._file = -1

    def __enter__(self) -> Self:
        """Open the memory."""
        for link in Path(f"/proc/{self._pid}/fd").iterdir():
            if str(link.readlink()).startswith(_LINK):
                self._file = os.open(link, os.O_RDONLY)
                return self
        raise FileNotFoundError(_LINK)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at a guest physical address; fewer, or none, where RAM ends."""
        before = 0
        for start, end in self.ram:
            if start <= address < end:
                return os.pread(self._file, min(size, end - address), before + address - start)
            before += end - start
        return b""
