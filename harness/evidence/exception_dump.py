# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The registers that edk2 prints when an exception reaches its default handler.

Source: edk2 UefiCpuPkg/Library/CpuExceptionHandlerLib, X64/ArchExceptionHandler.c and CpuExceptionCommon.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_BEGIN = re.compile(r"!!!! X64 Exception Type - (?P<vector>[0-9A-F]{2})\((?P<name>[^)]*)\)")
_VALUE = {
    name: re.compile(rf"\b{label}\s*-\s*([0-9A-F]{{16}})")
    for name, label in {"error": "ExceptionData", "rip": "RIP", "cr2": "CR2"}.items()
}
_IMAGE = re.compile(
    r"!!!! Find image based on IP\(0x[0-9A-F]+\) (?P<path>.*?) +\(ImageBase=(?P<base>[0-9A-F]{16})"
)
_NO_PATH = "(No PDB)"
"""What RELEASE builds print in the place of a path."""
_PAGE_FAULT = 14
_WITH_CR2 = {_PAGE_FAULT, 29}
"""#PF, and #VC of a page that is not validated (APM volume 2, 15.36.10)."""


@dataclass(frozen=True)
class ExceptionDump:
    """One exception.

    ``base`` is the address of the image that holds ``rip``, 0 when none does; ``image`` its module's name, ""
    when the build does not say it.
    """

    vector: int
    name: str
    error: int
    rip: int
    cr2: int
    image: str
    base: int

    @property
    def about_page(self) -> bool:
        """Whether CR2 is the address that it is about."""
        return self.vector in _WITH_CR2

    @property
    def where(self) -> str:
        """The address, with the image that edk2 found before it, which may end before it."""
        if not self.base:
            return f"{self.rip:#x}"
        return f"{self.rip:#x} ({self.image or 'an image'}+{self.rip - self.base:#x})"

    @property
    def what(self) -> str:
        """What happened: ``#PF (write to a page that is not writable), error code 0x3, address 0x1000``."""
        address = f", address {self.cr2:#x}" if self.about_page else ""
        means = f" ({page_fault_text(self.error)})" if self.vector == _PAGE_FAULT else ""
        return f"{self.name}{means}, error code {self.error:#x}{address}"

    def __str__(self) -> str:
        return f"{self.what}, at {self.where}"


def page_fault_text(error: int) -> str:
    """Return what the error code of a #PF says (APM volume 2, 8.4.2)."""
    access = "instruction fetch from" if error & 0x10 else "write to" if error & 0x2 else "read of"
    if error & 1 << 31:
        return f"{access} a page that the RMP refuses"
    if not error & 0x1:
        return f"{access} a page that is not mapped"
    if error & 0x8:
        return f"{access} a page whose mapping has reserved bits set"
    forbids = "executable" if error & 0x10 else "writable" if error & 0x2 else "readable"
    return f"{access} a page that is not {forbids}"


def exception_dump(serial_text: str) -> ExceptionDump | None:
    """Read the first dump of a console; None when there is none or it was cut short before CR2."""
    begin = _BEGIN.search(serial_text)
    if begin is None:
        return None
    text = serial_text[begin.end() :]
    found = {name: regex.search(text) for name, regex in _VALUE.items()}
    values = {name: int(match[1], 16) for name, match in found.items() if match}
    if values.keys() != found.keys():
        return None
    image = _IMAGE.search(text)
    return ExceptionDump(
        vector=int(begin["vector"], 16),
        name=begin["name"].partition(" - ")[0],
        image=PurePosixPath(image["path"]).stem if image and image["path"] != _NO_PATH else "",
        base=int(image["base"], 16) if image else 0,
        **values,
    )
