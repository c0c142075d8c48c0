# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a kernel can do, read from the packaged image and its packaged config; never from a version number.

Every trait names its source. SNP support itself has no config symbol: SNP guest code is part of
AMD_MEM_ENCRYPT, in kernels that have it at all. SEV_GUEST came with that code and cannot exist without it (it
drives the SNP guest messages), so its presence beside AMD_MEM_ENCRYPT=y is the evidence. A kernel built with
SNP but without that driver would be taken for one that cannot: its cells then fail, which is noticed.

Where a mirror has an image but no longer its config, messages of the image's uncompressed part are the
evidence: the boot code of a kernel with SNP support has one of its own, and so has the EFI stub of one with
unaccepted memory.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Offsets into a bzImage: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
_SETUP_SECTORS = 0x1F1
_SYSTEM_SIZE = 0x1F4
_MAGIC = 0x202
_PROTOCOL = 0x206
_VERSION_POINTER = 0x20E
_XLOADFLAGS = 0x236
_XLF_EFI_HANDOVER_64 = 1 << 3
_XLOADFLAGS_SINCE = 0x20C
_PE_POINTER = 0x3C

_SNP_MESSAGE = b"SEV-SNP supported indicated by CC blob"
_UNACCEPTED_MESSAGE = b"Memory acceptance protocol failed"

_RELEASE = re.compile(rb"[!-~]+")
_OPTION = re.compile(r"^(?P<name>CONFIG_\w+)=(?P<value>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class KernelTraits:
    """A kernel's abilities; ``sources`` says for each trait what it was read from.

    ``version`` is the release as the image's setup header says it, ``protocol`` the boot protocol version
    (0x20f is 2.15), ``handover`` the 64-bit EFI handover entry. ``probe``: it is no kernel but the EFI probe.
    """

    version: str
    protocol: int
    snp_guest: bool
    unaccepted_memory: bool
    efi_stub: bool
    handover: bool
    sources: Mapping[str, str] = field(compare=False, repr=False)
    probe: bool = False


def parse_config(text: str) -> dict[str, str]:
    """Read a kernel config: options that are set, with their values as written (``y``, ``m``, ``"..."``)."""
    options = {match["name"]: match["value"] for match in _OPTION.finditer(text)}
    if not options:
        raise HarnessError(
            "the kernel config holds no option", "the .config that it was built with is needed"
        )
    return options


def _stated(options: Mapping[str, str], *names: str) -> str:
    return ", ".join(f"{name}={options[name]}" if name in options else f"{name} is not set" for name in names)


def read_release(image: bytes) -> str:
    """Give the release, as ``uname -r`` says it, from the string that the field kernel_version points to.

    Empty where the field points to none.
    """
    _require_bzimage(image)
    (pointer,) = struct.unpack_from("<H", image, _VERSION_POINTER)
    text = image[0x200 + pointer : 0x200 + pointer + 256].split(b"\0", 1)[0].split(b" ", 1)[0]
    return text.decode("ascii") if pointer and _RELEASE.fullmatch(text) else ""


def is_bzimage(image: bytes) -> bool:
    """Look for the magic of the setup header."""
    return len(image) >= 0x400 and image[_MAGIC : _MAGIC + 4] == b"HdrS"


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


def _is_pe(image: bytes) -> bool:
    (pointer,) = struct.unpack_from("<I", image, _PE_POINTER)
    return image[:2] == b"MZ" and image[pointer : pointer + 4] == b"PE\0\0"


def read_kernel_traits(image: bytes, config: str | None) -> KernelTraits:
    """Read the traits from a bzImage and the text of the config it was built with, None when there is none.

    In Debian both are in linux-image-* up to 6.18; later the image is in linux-binary-* and the config in
    linux-base-VERSION, both under usr/lib/modules/VERSION. HarnessError when an input is no such thing.
    """
    _require_bzimage(image)
    _require_whole(image)
    (protocol,) = struct.unpack_from("<H", image, _PROTOCOL)
    (flags,) = struct.unpack_from("<H", image, _XLOADFLAGS) if protocol >= _XLOADFLAGS_SINCE else (0,)
    pe = _is_pe(image)
    snp, unaccepted, stub = _by_image(image) if config is None else _by_config(parse_config(config))
    return KernelTraits(
        version=read_release(image),
        protocol=protocol,
        snp_guest=snp[0],
        unaccepted_memory=unaccepted[0],
        efi_stub=stub[0] and pe,
        handover=bool(flags & _XLF_EFI_HANDOVER_64),
        sources={
            "version": "setup header, kernel_version",
            "protocol": "setup header, version",
            "snp_guest": snp[1],
            "unaccepted_memory": unaccepted[1],
            "efi_stub": f"{stub[1]}; {'PE' if pe else 'no PE'} header",
            "handover": f"setup header, xloadflags {flags:#x} (bit 3)",
        },
    )


_Found = tuple[bool, str]
"""A trait and what it was read from."""


def _by_config(options: Mapping[str, str]) -> tuple[_Found, _Found, _Found]:
    """Say whether there are SNP guest support, unaccepted memory and the EFI stub."""
    snp = ("CONFIG_AMD_MEM_ENCRYPT", "CONFIG_SEV_GUEST")
    has_snp = options.get(snp[0]) == "y" and options.get(snp[1]) in {"y", "m"}
    rest = ("CONFIG_UNACCEPTED_MEMORY", "CONFIG_EFI_STUB")
    unaccepted, stub = ((options.get(name) == "y", f"config: {_stated(options, name)}") for name in rest)
    return (has_snp, f"config: {_stated(options, *snp)}"), unaccepted, stub


def _by_image(image: bytes) -> tuple[_Found, _Found, _Found]:
    """Say the same by messages of the image; the stub is there when the PE header is."""
    snp, unaccepted = (
        (message in image, f"image: {'has' if message in image else 'lacks'} {message.decode()!r}")
        for message in (_SNP_MESSAGE, _UNACCEPTED_MESSAGE)
    )
    return snp, unaccepted, (True, "image")
