# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A Linux kernel image for x86: what its setup header says, and the same kernel without its EFI stub.

Offsets and fields: Linux ``Documentation/arch/x86/boot.rst``, "The Real-Mode Kernel Header".

Without the stub, every loader has to take its other path into the kernel. What is cleared for that:

- 0x000-0x1f0, the old boot sector with the PE header (MZ, PE, section table): no PE image to load;
- 0x236, bits 2 and 3, the EFI handover entries for 32 and 64 bit in ``xloadflags``: no handover either;
- 0x264-0x267, ``handover_offset``: nor where it would be.

The setup header (from 0x1f1) is otherwise untouched, and so is all code: the stub's is still there, but
nothing leads to it. Boot loaders that use the 16-, 32- or 64-bit entry do not look at the first 0x1f1 bytes.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from harness.errors import HarnessError

XLF_EFI_HANDOVER_64 = 1 << 3
_SETUP_HEADER = 0x1F1
_SETUP_SECTORS = 0x1F1
_SYSTEM_SIZE = 0x1F4
_MAGIC = 0x202
_PROTOCOL = 0x206
_VERSION_POINTER = 0x20E
_XLOADFLAGS = 0x236
_HANDOVER_FLAGS = 0x0C
_HANDOVER_OFFSET = 0x264
_XLOADFLAGS_SINCE = 0x20C
_PE_POINTER = 0x3C
_RELEASE = re.compile(rb"[!-~]+")


@dataclass(frozen=True)
class SetupHeader:
    """What a setup header says.

    ``release`` is what ``uname -r`` will say, empty where the header names none; ``protocol`` the boot
    protocol (0x20f is 2.15); ``xloadflags`` are 0 in protocols that have none; ``pe``: the image is a PE
    program, too.
    """

    release: str
    protocol: int
    xloadflags: int
    pe: bool


def is_bzimage(image: bytes) -> bool:
    """Return whether the setup header's magic is there."""
    return len(image) >= 0x400 and image[_MAGIC : _MAGIC + 4] == b"HdrS"


def read_setup(image: bytes) -> SetupHeader:
    """Return what the setup header says; HarnessError for what is no bzImage, or cut short."""
    _require_bzimage(image)
    _require_whole(image)
    (protocol,) = struct.unpack_from("<H", image, _PROTOCOL)
    (flags,) = struct.unpack_from("<H", image, _XLOADFLAGS) if protocol >= _XLOADFLAGS_SINCE else (0,)
    (pointer,) = struct.unpack_from("<I", image, _PE_POINTER)
    pe = image[:2] == b"MZ" and image[pointer : pointer + 4] == b"PE\0\0"
    return SetupHeader(read_release(image), protocol, flags, pe)


def read_release(image: bytes) -> str:
    """Return the release from the string that the field kernel_version points to; a setup header is enough.

    It is empty where the field points to none. Raises HarnessError for what is no bzImage.
    """
    _require_bzimage(image)
    (pointer,) = struct.unpack_from("<H", image, _VERSION_POINTER)
    text = image[0x200 + pointer : 0x200 + pointer + 256].split(b"\0", 1)[0].split(b" ", 1)[0]
    return text.decode("ascii") if pointer and _RELEASE.fullmatch(text) else ""


def without_efi_stub(image: bytes) -> bytes:
    """Return the image with PE header and handover fields cleared; HarnessError when it is no bzImage."""
    _require_bzimage(image)
    (protocol,) = struct.unpack_from("<H", image, _PROTOCOL)
    if protocol < _XLOADFLAGS_SINCE:
        raise HarnessError(f"the kernel's boot protocol {protocol:#x} is older than {_XLOADFLAGS_SINCE:#x}")
    cleared = bytearray(image)
    cleared[:_SETUP_HEADER] = bytes(_SETUP_HEADER)
    (flags,) = struct.unpack_from("<H", image, _XLOADFLAGS)
    struct.pack_into("<H", cleared, _XLOADFLAGS, flags & ~_HANDOVER_FLAGS)
    struct.pack_into("<I", cleared, _HANDOVER_OFFSET, 0)
    return bytes(cleared)


def _require_bzimage(image: bytes) -> None:
    if not is_bzimage(image):
        raise HarnessError(
            "the kernel image is no bzImage: no HdrS in its setup header", "give the vmlinuz file"
        )


def _require_whole(image: bytes) -> None:
    """Raise HarnessError for an image that is shorter than its setup header says; signed ones are longer."""
    (system,) = struct.unpack_from("<I", image, _SYSTEM_SIZE)  # in units of 16 bytes, without the setup
    said = ((image[_SETUP_SECTORS] or 4) + 1) * 512 + system * 16
    if len(image) < said:
        raise HarnessError(
            f"the kernel image is cut short: it has {len(image)} bytes, its setup header says {said}",
            "build or copy it again",
        )
