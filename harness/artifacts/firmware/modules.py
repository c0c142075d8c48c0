# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The modules in a firmware image: names, and where those run that run at one address in every boot.

SEC runs in the image, which ends at 4 GiB; PEI's first modules run where SEC unpacks their volume. Both hold
of RELEASE builds, too, which say nothing of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.artifacts.firmware.traits import unpacked
from harness.errors import HarnessError
from harness.formats.firmware_volume import PE32, placed_files, sections, ui_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from harness.formats.firmware_volume import PlacedFile

_END = 1 << 32
_PEI_VOLUME = 0x82_0000
"""Where SEC puts the first volume that it unpacks (edk2 OvmfPkg, PcdOvmfPeiMemFvBase)."""
_MACHINE_X64 = 0x8664


@dataclass(frozen=True)
class FirmwareModule:
    """A module: its file's GUID, its name ("" for none), its program, and where it runs (None: anywhere)."""

    guid: UUID
    name: str
    program: bytes
    address: int | None

    @property
    def size(self) -> int:
        """How many bytes of memory the program takes."""
        (header,) = struct.unpack_from("<I", self.program, 0x3C)
        return int(struct.unpack_from("<I", self.program, header + 0x50)[0])


def firmware_modules(image: bytes) -> tuple[FirmwareModule, ...]:
    """Return the modules of an OVMF image; none of one that is damaged or holds no volumes."""
    try:
        parts = list(unpacked(image))
    except HarnessError:
        parts = [image]
    found: list[FirmwareModule] = []
    for number, part in enumerate(parts):
        files = list(placed_files(part))
        first = min((file.volume for file in files), default=0)
        for file in files:
            base: int | None = _END - len(image) if number == 0 else None
            if number == 1 and file.volume == first:
                base = _PEI_VOLUME - first
            found += _programs(file, base)
    return tuple(found)


def _programs(file: PlacedFile, base: int | None) -> Iterator[FirmwareModule]:
    for kind, start, end in sections(file.content):
        program = file.content[start:end]
        if kind == PE32 and _is_program(program):
            address = None if base is None else base + file.offset + start
            yield FirmwareModule(file.name, ui_name(file.content), program, address)


def _is_program(data: bytes) -> bool:
    if len(data) < 0x100 or data[:2] != b"MZ":
        return False
    (header,) = struct.unpack_from("<I", data, 0x3C)
    return data[header : header + 6] == b"PE\0\0" + _MACHINE_X64.to_bytes(2, "little")
