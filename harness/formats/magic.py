# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a file is that somebody took for a kernel image, by its first bytes."""

from __future__ import annotations

_BZIMAGE = "name arch/x86/boot/bzImage, or a vmlinuz"
_UNPACK = f"unpack it, or {_BZIMAGE}"
_KINDS = (
    (0, b"\x7fELF", "it is an ELF program, as vmlinux is", _BZIMAGE),
    # Linux Documentation/arch/arm64/booting.rst, "Call the kernel image"; before MZ, which it may have, too.
    (0x38, b"ARM\x64", "it is an arm64 kernel", f"guests are x86-64: {_BZIMAGE}"),
    (0, b"\x1f\x8b", "it is packed with gzip", _UNPACK),
    (0, b"\xfd7zXZ\0", "it is packed with xz", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "it is packed with zstd", _UNPACK),
    (0, b"BZh", "it is packed with bzip2", _UNPACK),
    (0, b"!<arch>\n", "it is a Debian package or an archive", _UNPACK),
    (0, b"MZ", "it is an EFI program without a Linux setup header", _BZIMAGE),
)
"""Where which bytes stand, what they tell, and what to do."""


def no_bzimage(data: bytes) -> tuple[str, str]:
    """Return what the bytes are that are no bzImage, and what to name in their place."""
    if not data:
        return "it is empty", "build or copy it again"
    for at, magic, what, hint in _KINDS:
        if data[at : at + len(magic)] == magic:
            return what, hint
    text = data[:512].isascii() and b"\0" not in data[:512]
    return ("it is text" if text else "it has no HdrS in its setup header"), _BZIMAGE
