# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The payload of an RPM package: a cpio archive, compressed.

By hand because Debian's rpm2cpio brings all of rpm along. Format: RPM 4's "RPM V4 Package format", a lead of
96 bytes, a signature header that ends at a multiple of eight, a header, the payload.
"""

from __future__ import annotations

import gzip
import lzma
import struct

import zstandard

from harness.errors import HarnessError

LEAD = b"\xed\xab\xee\xdb"
_LEAD_SIZE = 96
_HEADER = b"\x8e\xad\xe8"
_COUNTS = struct.Struct(">4s4xII")
_ENTRY = 16
MOST_BYTES = 2 << 30


def payload(data: bytes, what: str) -> bytes:
    """Return the cpio archive in a package's bytes; HarnessError, beginning with ``what``, for no package."""
    if not data.startswith(LEAD):
        raise HarnessError(f"{what}: no RPM package", "name a file such as kernel-core-6.12.rpm")
    signed = _behind_header(data, _LEAD_SIZE, what)
    packed = data[_behind_header(data, -(-signed // 8) * 8, what) :]
    try:
        if packed.startswith(b"\x28\xb5\x2f\xfd"):
            return zstandard.ZstdDecompressor().stream_reader(packed).read(MOST_BYTES)
        if packed.startswith(b"\xfd7zXZ"):
            return lzma.LZMADecompressor().decompress(packed, MOST_BYTES)
        return gzip.decompress(packed)
    except (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError) as error:
        raise HarnessError(
            f"{what}: its payload cannot be read ({error})", "fetch the package again"
        ) from None


def _behind_header(data: bytes, at: int, what: str) -> int:
    """Return where what follows a header begins."""
    try:
        magic, entries, size = _COUNTS.unpack_from(data, at)
    except struct.error:
        magic, entries, size = b"", 0, 0
    if not magic.startswith(_HEADER):
        raise HarnessError(f"{what}: the RPM package is damaged or cut", "fetch the package again")
    return int(at + _COUNTS.size + entries * _ENTRY + size)
