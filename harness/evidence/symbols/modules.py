# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The modules of a boot's firmware, and where each was.

A DEBUG build's log says it (edk2 MdeModulePkg/Core/{Pei,Dxe}/Image, DEBUG() of the load address). SEC and PEI
are where the image puts them. What was loaded when a boot went wrong stands in ``images.json``, which is read
from the guest's memory, of RELEASE builds, too.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.record import IMAGES
from harness.formats.json_text import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.evidence.record import BootRecord

_LOADED = re.compile(
    r"^Loading (?:driver|PEIM|DXE CORE) (?:(?P<guid>[0-9A-Fa-f-]{36})$|at 0x(?P<base>[0-9A-F]+) "
    r"EntryPoint=0x[0-9A-F]+(?: (?P<name>\S+)\.efi)?)",
    re.MULTILINE,
)
_LARGEST = 2 << 20
"""No module of OVMF has so many bytes; behind the last one of a row there is something else."""


@dataclass(frozen=True)
class Module:
    """A module: its base address, its name, its bytes, its file's GUID; "" and 0 for what is unknown."""

    base: int
    name: str
    size: int = 0
    guid: str = ""


@dataclass(frozen=True)
class Modules:
    """Modules by their base addresses, in order."""

    all: tuple[Module, ...] = ()

    @classmethod
    def of(cls, modules: Iterable[Module]) -> Modules:
        """Put modules in order; of two at one address the later one counts."""
        found = {module.base: module for module in modules}
        return cls(tuple(found[base] for base in sorted(found)))

    def at(self, address: int) -> Module | None:
        """Return the module with a name that is at an address, None where there is none."""
        index = bisect_right(self.all, address, key=lambda module: module.base) - 1
        if index < 0:
            return None
        module = self.all[index]
        return module if module.name and address - module.base < (module.size or _LARGEST) else None

    def name(self, address: int) -> str:
        """Return ``AmdSevDxe+0x35b3`` for an address, "" where no module is."""
        module = self.at(address)
        return f"{module.name}+{address - module.base:#x}" if module is not None else ""


def stored_images(record: BootRecord) -> tuple[Module, ...]:
    """Return the images that were loaded when a boot went wrong; none of one without a whole list."""
    try:
        found = parsed(record.bytes_of(IMAGES) or b"[]")
        return tuple(
            Module(int(it["base"]), str(it["name"]), int(it["size"]), str(it["guid"])) for it in found
        )
    except (ValueError, TypeError, KeyError):
        return ()


def modules_of(log: str) -> Modules:
    """Return the modules that a firmware's log names."""
    return Modules.of(logged(log))


def logged(log: str) -> Iterator[Module]:
    """Yield the modules in the order in which a firmware's log says that they were loaded."""
    guid = ""
    for match in _LOADED.finditer(log):
        if match["base"]:
            yield Module(int(match["base"], 16), match["name"] or "", guid=guid)
        guid = (match["guid"] or "").lower()
