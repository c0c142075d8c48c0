# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The processor's own answers: the instruction CPUID, and what its leaves say of SEV.

No library gives single leaves, and the kernel's ``/dev/cpu/0/cpuid`` is for root and a module that few hosts
load. CPUID is for everyone, so a dozen bytes of code ask.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from dataclasses import dataclass
from functools import cached_property

ENCRYPTION = 0x8000001F
"""AMD APM volume 3, appendix E: encrypted memory."""
_HIGHEST = 0x80000000
# push rbx; mov eax, edi; xor ecx, ecx; cpuid; mov [rsi], eax; mov [rsi+4], ebx; mov [rsi+8], ecx;
# mov [rsi+12], edx; pop rbx; ret
_CODE = bytes.fromhex("53 89f8 31c9 0fa2 8906 895e04 894e08 89560c 5b c3")


@dataclass(frozen=True)
class Encryption:
    """CPUID 8000001F: registers EAX to EDX."""

    eax: int
    ebx: int
    ecx: int
    edx: int

    @property
    def snp(self) -> bool:
        """Whether the processor has SEV-SNP."""
        return bool(self.eax >> 4 & 1)

    @property
    def c_bit(self) -> int:
        """Position of the address bit that marks encrypted memory."""
        return self.ebx & 0x3F

    @property
    def lost_bits(self) -> int:
        """By how many bits physical addresses are shorter where memory is encrypted."""
        return self.ebx >> 6 & 0x3F

    @cached_property
    def asids(self) -> int:
        """How many SEV-ES and SNP guests the BIOS lets run at once: those below the first of plain SEV."""
        return max(self.edx - 1, 0)


def encryption() -> Encryption | None:
    """Return CPUID 8000001F of this processor; None where there is none, or nobody may ask."""
    highest = _cpuid(_HIGHEST)
    if highest is None or highest[0] < ENCRYPTION:
        return None
    found = _cpuid(ENCRYPTION)
    return None if found is None else Encryption(*found)


def _cpuid(leaf: int) -> tuple[int, int, int, int] | None:
    if platform.machine() != "x86_64":
        return None
    try:  # a hardened host may refuse memory that is both written and run
        with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as code:
            code.write(_CODE)
            start = ctypes.c_char.from_buffer(code)
            registers = (ctypes.c_uint32 * 4)()
            run = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p)(ctypes.addressof(start))
            run(leaf, ctypes.addressof(registers))
            del start  # the mapping cannot close while something points into it
            return registers[0], registers[1], registers[2], registers[3]
    except OSError:
        return None
