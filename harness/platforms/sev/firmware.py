# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the secure processor says of itself: SEV's firmware, and the versions that attestation reports have.

The requests and their structures are those of Linux's ``uapi/linux/psp-sev.h``; both only read. Not yet seen
on hardware.
"""

from __future__ import annotations

import ctypes
import fcntl
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Ioctl = Callable[[int, int, bytearray], object]

LEAST = (1, 51)
"""The first firmware that Linux starts SNP guests with (``ccp``'s ``SNP_MIN_API_MAJOR`` and ``_MINOR``)."""
_ISSUE_CMD = 0xC0105300  # _IOWR('S', 0, struct sev_issue_cmd)
_PLATFORM_STATUS, _SNP_PLATFORM_STATUS = 1, 9
_COMMAND = struct.Struct("=IQI")  # command, address of the answer, the firmware's error
_STATUS = struct.Struct("=BBBIBI")  # API major and minor, state, flags, build, guests
_SNP_STATUS = struct.Struct("=BBBBIIIQQ")  # … , RMP flag, build, flags, guests, current and reported TCB
_TCB_PARTS = (("boot-loader", 0), ("tee", 1), ("snp", 6), ("microcode", 7))
_TURIN_PARTS = (("fmc", 0), ("boot-loader", 1), ("tee", 2), ("snp", 3), ("microcode", 7))
_TURIN = 0x1A
"""The processor family from which on TCB_VERSION has another layout (SEV-SNP ABI, 2.2)."""


@dataclass(frozen=True)
class SevFirmware:
    """An answer of the secure processor.

    ``guests``: how many it knows. ``rmp``: whether the RMP is initialized; None where only SEV answered.
    ``tcb`` is the reported TCB_VERSION, 0 then.
    """

    major: int
    minor: int
    build: int
    guests: int
    rmp: bool | None = None
    tcb: int = 0

    def __str__(self) -> str:
        """Return the version as the driver ccp prints it."""
        return f"{self.major}.{self.minor} build {self.build}"

    @property
    def old(self) -> bool:
        """Whether it is too old for SNP guests."""
        return (self.major, self.minor) < LEAST


def ask(device: int, *, snp: bool, ioctl: Ioctl = fcntl.ioctl) -> SevFirmware:
    """Ask an open ``/dev/sev``; ``snp``: by the SNP request, which initializes the firmware where needed.

    OSError where the driver or the firmware refuses.
    """
    if snp:
        major, minor, _, flags, build, _, guests, _, tcb = _SNP_STATUS.unpack(
            _issue(device, _SNP_PLATFORM_STATUS, _SNP_STATUS.size, ioctl)
        )
        return SevFirmware(major, minor, build, guests, bool(flags & 1), tcb)
    major, minor, _, _, build, guests = _STATUS.unpack(_issue(device, _PLATFORM_STATUS, _STATUS.size, ioctl))
    return SevFirmware(major, minor, build, guests)


def tcb_parts(tcb: int, family: int) -> dict[str, int]:
    """Return the parts of a TCB_VERSION by name, as a processor of ``family`` lays them out."""
    parts = _TURIN_PARTS if family >= _TURIN else _TCB_PARTS
    return {name: tcb >> 8 * byte & 0xFF for name, byte in parts}


def _issue(device: int, command: int, size: int, ioctl: Ioctl) -> bytes:
    answer = ctypes.create_string_buffer(size)
    request = bytearray(_COMMAND.pack(command, ctypes.addressof(answer), 0))
    ioctl(device, _ISSUE_CMD, request)
    return answer.raw
