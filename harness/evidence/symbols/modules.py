# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Modules of a DEBUG firmware and where it loaded them, as its log says. RELEASE firmware says nothing.

Source: edk2 MdeModulePkg/Core/{Pei,Dxe}/Image, DEBUG() of the load address.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

_LOADED = re.compile(
    r"^Loading (?:driver|PEIM|DXE CORE) at 0x(?P<base>[0-9A-F]+) "
    r"EntryPoint=0x[0-9A-F]+(?: (?P<name>\S+)\.efi)?",
    re.MULTILINE,
)
_LARGEST = 2 << 20
"""No module of OVMF has so many bytes; behind the last one of a row there is something else."""


@dataclass(frozen=True)
class Modules:
    """Modules by their base addresses, in order."""

    bases: tuple[int, ...]
    names: tuple[str, ...]

    def name(self, address: int) -> str:
        """Return ``AmdSevDxe+0x35b3`` for an address, "" where no module that the log names is near."""
        at = bisect_right(self.bases, address) - 1
        if at < 0 or address - self.bases[at] >= _LARGEST or not self.names[at]:
            return ""
        return f"{self.names[at]}+{address - self.bases[at]:#x}"


def modules_of(log: str) -> Modules:
    """Read a firmware's log; of two modules at one address the later one counts."""
    found = {int(match["base"], 16): match["name"] or "" for match in _LOADED.finditer(log)}
    bases = tuple(sorted(found))
    return Modules(bases, tuple(found[base] for base in bases))
