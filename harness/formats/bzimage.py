# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A kernel without EFI stub, made from a packaged one by clearing bytes of its setup: the same each time.

Every loader then has to take its other path into the kernel. Source: Linux,
``Documentation/arch/x86/boot.rst``.

| bytes | what is there | why it is cleared |
|---|---|---|
| 0x000-0x1f0 | the old boot sector: the PE header (MZ, PE, section table) | no PE image to load |
| 0x236, bits 2 and 3 | ``xloadflags``: EFI handover entry, 32 and 64 bit | no handover either |
| 0x264-0x267 | ``handover_offset`` | nor where it would be |

The setup header (from 0x1f1) is otherwise untouched, and so is all code: the stub's is still there, but
nothing leads to it. Boot loaders that use the 16-, 32- or 64-bit entry do not look at the first 0x1f1 bytes.
"""

from __future__ import annotations

import struct

from harness.errors import HarnessError

_SETUP_HEADER = 0x1F1
_MAGIC = 0x202
_PROTOCOL = 0x206
_XLOADFLAGS = 0x236
_HANDOVER_FLAGS = 0x0C
_HANDOVER_OFFSET = 0x264
_LEAST_PROTOCOL = 0x20C  # the first with xloadflags


def without_efi_stub(image: bytes) -> bytes:
    """Clear the PE header and the handover fields of a bzImage; HarnessError when it is none."""
    if len(image) < 0x400 or image[_MAGIC : _MAGIC + 4] != b"HdrS":
        raise HarnessError("the kernel image is no bzImage: no HdrS in its setup header")
    (protocol,) = struct.unpack_from("<H", image, _PROTOCOL)
    if protocol < _LEAST_PROTOCOL:
        raise HarnessError(f"the kernel's boot protocol {protocol:#x} is older than {_LEAST_PROTOCOL:#x}")
    cleared = bytearray(image)
    cleared[:_SETUP_HEADER] = bytes(_SETUP_HEADER)
    (flags,) = struct.unpack_from("<H", image, _XLOADFLAGS)
    struct.pack_into("<H", cleared, _XLOADFLAGS, flags & ~_HANDOVER_FLAGS)
    struct.pack_into("<I", cleared, _HANDOVER_OFFSET, 0)
    return bytes(cleared)
