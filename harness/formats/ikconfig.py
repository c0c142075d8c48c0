# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The config that a kernel was built with, as a kernel with CONFIG_IKCONFIG carries it in itself.

The config is a gzip member between two marks in vmlinux (Linux ``kernel/configs.c``); vmlinux is the
compressed payload of the bzImage (``Documentation/arch/x86/boot.rst``, payload_offset and payload_length).
"""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING

from harness.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable

_SETUP_SECTS = 0x1F1
_PAYLOAD = 0x248
_SECTOR = 512
_BEGIN, _END = b"IKCFG_ST", b"IKCFG_ED"
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_SIZE_APPENDED = 4  # bytes: the build appends vmlinux's size to what xz and zstd wrote


def embedded_config(image: bytes) -> str | None:
    """Return the config inside a bzImage; None when there is none, or the payload cannot be read."""
    vmlinux = _payload(image)
    start, end = vmlinux.find(_BEGIN), vmlinux.find(_END)
    if start < 0 or end < start:
        return None
    try:
        return zlib.decompress(vmlinux[start + len(_BEGIN) : end], _GZIP_OR_ZLIB).decode()
    except (zlib.error, UnicodeDecodeError):
        return None


def unzstd(data: bytes) -> bytes:
    """Decompress by the program zstd: Python has no module for it. HarnessError when it is not installed."""
    program = shutil.which("zstd")
    if program is None:
        raise HostError("zstd is not installed", "apt-get install zstd")
    done = subprocess.run([program, "-dcq"], input=data, capture_output=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def _payload(image: bytes) -> bytes:
    """Return vmlinux; empty when it cannot be read (an image cut short, lz4, lzo, lzma, bzip2)."""
    if len(image) < _PAYLOAD + 8:
        return b""
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = ((image[_SETUP_SECTS] or 4) + 1) * _SECTOR + offset
    data = image[start : start + length]
    for magic, unpack in _UNPACKERS.items():
        if data.startswith(magic):
            try:
                return unpack(data)
            except (lzma.LZMAError, zlib.error, ValueError):
                return b""
    return b""


def _unxz(data: bytes) -> bytes:
    return lzma.LZMADecompressor().decompress(data)  # what follows the stream is left alone


_UNPACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xfd7zXZ\0": _unxz,
    b"\x1f\x8b": lambda data: zlib.decompressobj(_GZIP_OR_ZLIB).decompress(data),
    b"\x28\xb5\x2f\xfd": lambda data: unzstd(data[:-_SIZE_APPENDED]),
}
