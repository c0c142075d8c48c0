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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.artifacts.trait_values import with_technologies
from harness.errors import HarnessError
from harness.formats.bzimage import XLF_EFI_HANDOVER_64, read_setup

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE: Mapping[str, tuple[tuple[str, ...], bytes]] = {
    "snp": (("CONFIG_AMD_MEM_ENCRYPT", "CONFIG_SEV_GUEST"), b"SEV-SNP supported indicated by CC blob")
}
"""By technology: the options that a kernel with its guest code has, and a message of that code."""
TECHNOLOGIES = tuple(_CODE)
"""Those that are read from kernels."""
_UNACCEPTED_MESSAGE = b"Memory acceptance protocol failed"

_OPTION = re.compile(r"^(?P<name>CONFIG_\w+)=(?P<value>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class KernelTraits:
    """A kernel's abilities; ``sources`` says for each trait what it was read from.

    ``version`` is the release as the image's setup header says it, ``protocol`` the boot protocol version
    (0x20f is 2.15), ``technologies``: as what confidential guests it can run. ``handover``: the 64-bit EFI
    handover entry. ``probe``: it is no kernel but the EFI probe.
    """

    version: str
    protocol: int
    technologies: tuple[str, ...]
    unaccepted_memory: bool
    efi_stub: bool
    handover: bool
    sources: Mapping[str, str] = field(compare=False, repr=False)
    probe: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KernelTraits:
        """Make traits of what ``dataclasses.asdict`` gave; KeyError or TypeError when it is not that."""
        return cls(**with_technologies(data, "snp_guest"))


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


def read_kernel_traits(image: bytes, config: str | None) -> KernelTraits:
    """Read the traits from a bzImage and the text of the config it was built with, None when there is none.

    In Debian both are in linux-image-* up to 6.18; later the image is in linux-binary-* and the config in
    linux-base-VERSION, both under usr/lib/modules/VERSION. HarnessError when an input is no such thing.
    """
    setup = read_setup(image)
    code, unaccepted, stub = _by_image(image) if config is None else _by_config(parse_config(config))
    return KernelTraits(
        version=setup.release,
        protocol=setup.protocol,
        technologies=tuple(name for name, (is_there, _) in code.items() if is_there),
        unaccepted_memory=unaccepted[0],
        efi_stub=stub[0] and setup.pe,
        handover=bool(setup.xloadflags & XLF_EFI_HANDOVER_64),
        sources={
            "version": "setup header, kernel_version",
            "protocol": "setup header, version",
            "technologies": "; ".join(source for _, source in code.values()),
            "unaccepted_memory": unaccepted[1],
            "efi_stub": f"{stub[1]}; {'PE' if setup.pe else 'no PE'} header",
            "handover": f"setup header, xloadflags {setup.xloadflags:#x} (bit 3)",
        },
    )


_Found = tuple[bool, str]
"""A trait and what it was read from."""


def _by_config(options: Mapping[str, str]) -> tuple[dict[str, _Found], _Found, _Found]:
    """Return what there is: the guest code of each technology, unaccepted memory and the EFI stub."""
    code = {
        name: (
            all(options.get(symbol) in {"y", "m"} for symbol in symbols),
            f"config: {_stated(options, *symbols)}",
        )
        for name, (symbols, _) in _CODE.items()
    }
    rest = ("CONFIG_UNACCEPTED_MEMORY", "CONFIG_EFI_STUB")
    unaccepted, stub = ((options.get(name) == "y", f"config: {_stated(options, name)}") for name in rest)
    return code, unaccepted, stub


def _by_image(image: bytes) -> tuple[dict[str, _Found], _Found, _Found]:
    """Return the same by messages of the image; the stub is there when the PE header is."""

    def look(message: bytes) -> _Found:
        return message in image, f"image: {'has' if message in image else 'lacks'} {message.decode()!r}"

    code = {name: look(message) for name, (_, message) in _CODE.items()}
    return code, look(_UNACCEPTED_MESSAGE), (True, "image")
