# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guest memory in files, as far as the host has it: ``memory-0x140000000.bin``, and what they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.formats.json_text import write_json
from harness.intervals import IntervalSet, amount
from harness.machine.guest_memory import GuestMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.machine.machine import Machine
    from harness.machine.spec import MachineSpec

INDEX = "memory.json"
USUAL_SIZE, MOST = 2 << 20, 1 << 30
"""Bytes around an address, without a size, and at most."""
FORM = "ADDRESS[+SIZE]"
_CHUNK = 1 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_WRITTEN = re.compile(r"(0x[0-9a-fA-F]+)(?:\+(\d+)([KMG]?))?")


@dataclass(frozen=True)
class Span:
    """``size`` bytes of guest memory from a physical address on."""

    start: int
    size: int

    @classmethod
    def around(cls, address: int) -> Span:
        """Return the 2 MiB that an address is in."""
        return cls(address - address % USUAL_SIZE, USUAL_SIZE)

    @classmethod
    def parse(cls, text: str) -> Span:
        """Return what ``0x140000000+64M`` means; ValueError for what means nothing, or too much."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text}: not {FORM}, such as 0x140000000 or 0x140000000+64M")
        if match[2] is None:
            return cls.around(int(match[1], 16))
        size = int(match[2]) * _UNITS[match[3]]
        if not 0 < size <= MOST:
            raise ValueError(f"{text}: {amount(size)}; {amount(MOST)} of memory is the most")
        return cls(int(match[1], 16), size)


def holds(spec: MachineSpec) -> str:
    """Return what files of a machine's memory hold."""
    if spec.confidential is None:
        return "what the guest wrote: it is no confidential guest"
    if spec.accel.startswith("kvm"):
        return "shared pages alone: hardware keeps private pages from the host, and they are zeros here"
    return "private and shared pages as the guest sees them: an emulated guest's memory is not encrypted"


def dump_memory(machine: Machine, spans: Iterable[Span]) -> list[str]:
    """Write memory of a running machine into its folder, and what the files hold; return that in lines.

    HarnessError when a span is no memory of the guest, or when its memory is not to be had.
    """
    files: list[dict[str, Any]] = []
    try:
        with GuestMemory(machine) as memory:
            for span in spans:
                asked = IntervalSet.span(span.start, span.start + span.size)
                for start, end in memory.ram & asked:
                    name = f"memory-{start:#x}.bin"
                    _write(memory, machine.rundir / name, start, end)
                    files.append({"file": name, "start": start, "size": end - start})
                if not memory.ram & asked:
                    raise HarnessError(f"{span.start:#x}: the guest has no memory there: {memory.ram}")
    except OSError as error:
        raise HarnessError(f"the guest's memory is not to be had: {error}") from error
    content = holds(machine.spec)
    write_json(machine.rundir / INDEX, {"schema": 1, "holds": content, "files": files})
    return [file_text(it, content) for it in files]


def file_text(file: Mapping[str, Any], content: str) -> str:
    """Return in words what one file of memory is; KeyError, TypeError or ValueError for damaged data."""
    start, size = file["start"], file["size"]
    return f"{file['file']}: memory {start:#x}-{start + size - 1:#x}, {amount(size)}: {content}"


def _write(memory: GuestMemory, path: Path, start: int, end: int) -> None:
    """Write memory; pages of zeros take no place on the disk."""
    zeros = bytes(_CHUNK)
    with path.open("wb") as file:
        for at in range(start, end, _CHUNK):
            data = memory.read(at, min(_CHUNK, end - at))
            if data == zeros[: len(data)]:
                file.seek(len(data), 1)
            else:
                file.write(data)
        file.truncate(end - start)
