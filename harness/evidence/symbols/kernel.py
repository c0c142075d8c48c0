# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Functions of the booted kernel, by the addresses at which it runs.

Where KASLR put the kernel, it says itself when it panics (``Kernel Offset:``). Without that, the code tells:
of the addresses at which the ledger saw the kernel run PVALIDATE, each has to hold one in the image; and the
bytes that a vCPU was about to run have to stand in the image. One of the 512 possible places fulfils that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.evidence.record import StoredFile
from harness.evidence.symbols.kernel_files import KernelFiles, symbols_beside
from harness.formats.linux_payload import Segment, bytes_at, kernel_elf, kernel_in, segments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.evidence.record import BootRecord

LINKED = 0xFFFFFFFF80000000
"""Addresses from here on are the kernel's own."""
_OFFSET = re.compile(r"Kernel Offset: (0x[0-9a-f]+) from ")
_DISABLED = "Kernel Offset: disabled"
_UNPLACED = "where KASLR put the kernel shows neither on its console nor in the ledger"
_STEP, _SPAN = 2 << 20, 1 << 30
"""CONFIG_PHYSICAL_ALIGN of x86-64, and how far KASLR moves a kernel."""
PVALIDATE, VMGEXIT = b"\xf2\x0f\x01\xff", b"\xf3\x0f\x01\xd9"


@dataclass(frozen=True)
class KernelImage:
    """An unpacked kernel and its symbols."""

    elf: bytes
    files: KernelFiles


@dataclass(frozen=True)
class KernelSymbols:
    """A kernel's symbols, and by how many bytes it runs elsewhere than where it is linked; None: unknown."""

    image: KernelImage
    offset: int | None

    def code(self, address: int, size: int) -> bytes:
        """Return the bytes at an address of the running kernel, as its image has them."""
        return bytes_at(self.image.elf, address - self.offset, size) if self.offset is not None else b""

    def place(self, address: int) -> str:
        """Return ``pvalidate_pages()+0x62`` for an address of the running kernel, "" for an unknown one.

        With a vmlinux of the kernel, ``at arch/x86/coco/sev/core.c:291`` follows.
        """
        if self.offset is None or address < LINKED:
            return ""
        linked, files = address - self.offset, self.image.files
        line = files.vmlinux.line(linked) if files.vmlinux is not None else ""
        return " at ".join(filter(None, (files.symbols.place(linked), line)))


def kernel_symbols(record: BootRecord, code_seen: Mapping[int, bytes]) -> tuple[KernelSymbols | None, str]:
    """Return the symbols of a record's kernel, and why there are none, or what was not used.

    ``code_seen``: bytes of code that the running kernel had, by their addresses.
    """
    try:
        image = _image(record)
    except HarnessError as error:
        return None, error.what
    if image is None:
        return None, "the image that was booted is not where it was"
    offset = offset_said(record.whole_text)
    if offset is None:
        offset = offset_by_code(image.elf, code_seen)
    if offset is None:
        return KernelSymbols(image, offset), _UNPLACED
    return KernelSymbols(image, offset), "; ".join(image.files.refused)


def offset_said(console: str) -> int | None:
    """Return by how much KASLR moved the kernel, as its panic says; None where it does not."""
    found = _OFFSET.search(console)
    if found is not None:
        return int(found[1], 16)
    return 0 if _DISABLED in console else None


def offset_by_code(elf: bytes, code_seen: Mapping[int, bytes]) -> int | None:
    """Return the one offset by which the image has all code that was seen; None for none or several."""
    ours = {address: code for address, code in code_seen.items() if address >= LINKED and code}
    if not ours:
        return None
    loaded = segments(elf)
    fitting = [
        offset
        for offset in range(0, _SPAN, _STEP)
        if all(_holds(elf, loaded, address - offset, code) for address, code in ours.items())
    ]
    return fitting[0] if len(fitting) == 1 else None


def _holds(elf: bytes, loaded: Sequence[Segment], address: int, code: bytes) -> bool:
    inside = (it for it in loaded if it.address <= address < it.address + it.size)
    return any(elf.startswith(code, it.offset + address - it.address) for it in inside)


def _image(record: BootRecord) -> KernelImage | None:
    """Return the kernel that a record booted: QEMU's, or that of the disk; None where neither is there."""
    for name in ("kernel", "drive0"):
        given = record.inputs.get(name)
        if given is not None and given.path is not None:
            path = Path(given.path)
            return _read(path, given.sha256, beside=name == "kernel") if path.is_file() else None
    return None


@lru_cache(maxsize=4)
def _read(path: Path, sha256: str, *, beside: bool) -> KernelImage | None:
    """Return the kernel of a file, None when the file is another one by now.

    ``beside``: the file is the image itself, and symbols may lie near it.
    """
    with path.open("rb") as file:
        if StoredFile.of(file).sha256 != sha256:
            return None
    data = path.read_bytes()
    image = kernel_in(data)
    if image is None:
        raise HarnessError(f"{path.name} holds no kernel in one piece")
    elf = kernel_elf(image)
    return KernelImage(elf, symbols_beside(path if beside else None, image, elf))
