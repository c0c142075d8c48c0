# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What an OVMF build can do, read from the .fd image.

The table of GUIDed entries that ends 0x20 bytes before the image's end is described in edk2
``OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm``, the SEV metadata in ``ResetVector/X64/OvmfSevMetadata.asm``.
"""

from __future__ import annotations

import lzma
import re
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from harness.artifacts.trait_values import with_technologies
from harness.errors import HarnessError
from harness.formats.firmware_volume import SECURITY_CORE, kind_of, volume_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TABLE_FOOTER = UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
SEV_METADATA = UUID("dc886566-984a-4798-a75e-5585a7bf67cc")
SEV_HASH_TABLE = UUID("7255371f-3a3b-4b04-927b-1da6efa8d454")
MEMORY_ACCEPTANCE_PROTOCOL = UUID("c5a010fe-38a7-4531-8a4a-0500d2fd1649")
"""gOvmfSevMemoryAcceptanceProtocolGuid: how a kernel asks that memory stays unaccepted."""
BEFORE_EXIT = UUID("8be0e274-3970-4b44-80c5-1ab9502f3bfc")
"""gEfiEventBeforeExitBootServicesGuid: the event at which the rest is accepted."""
_ASSERTION = re.compile(rb"ASSERT (\[%a\] )?%a\(%")
"""How the DebugLibs of OVMF begin a failed assertion; builds without DEBUG output have no such text."""
LOCAL_APIC = 0xFEE0_0000
"""Where the local APIC is after a reset (APM volume 2, 16.3.1)."""
_LOADS_CR3 = re.compile(rb"(?<!\x58)\x0f\x22[\xd8-\xdf]")
"""``mov cr3, REG``; behind ``pop rax`` (58) edk2's exception handler puts back what it had found."""
_LZMA_SECTION = UUID("ee4e5898-3914-4259-9d6e-dc7bd79403cf")
_GUID_DEFINED = 0x02  # EFI_SECTION_GUID_DEFINED, UEFI PI volume 3

_TABLE_END = 0x20
_ENTRY_TAIL = 18  # u16 length, then the GUID; both stand behind the entry's data
_BIGGEST_PROGRAM = 64 << 20


class SectionKind(IntEnum):
    """Types of SEV metadata sections."""

    SNP_SEC_MEMORY = 1
    SNP_SECRETS = 2
    CPUID = 3
    SVSM_CAA = 4
    KERNEL_HASHES = 0x10


_PREPARED: Mapping[str, frozenset[SectionKind]] = {
    "snp": frozenset({SectionKind.SNP_SEC_MEMORY, SectionKind.SNP_SECRETS, SectionKind.CPUID})
}
"""By technology: the sections without which the hypervisor cannot prepare such a guest."""


@dataclass(frozen=True)
class MetadataSection:
    """Guest memory that the hypervisor prepares before launch, in bytes; ``kind``: see `SectionKind`."""

    base: int
    size: int
    kind: int


@dataclass(frozen=True)
class FirmwareTraits:
    """A firmware's abilities; ``sources`` says for each trait what it was read from.

    ``technologies``: as what confidential guests it can start, since its image tells the hypervisor what to
    prepare for them.
    ``memory_acceptance``: it carries the protocol by which a kernel takes memory unaccepted. Without it the
    firmware accepts everything itself.
    ``accepts_at_exit``: the driver with that protocol listens to the event before ExitBootServices, so it can
    accept what is left. That it does is for a boot to show.
    ``debug_output``: it prints DEBUG messages; to the debug console or a serial port, which is not known.
    ``private_apic``: it uses the local APIC with the C-bit, as edk2 does before f0ed194236 (202405): its SEC
    knows the local APIC and never changes the reset vector's page tables, in which each page has the C-bit.
    """

    technologies: tuple[str, ...]
    memory_acceptance: bool
    accepts_at_exit: bool
    kernel_hashes: bool
    debug_output: bool
    sections: tuple[MetadataSection, ...]
    sources: Mapping[str, str] = field(compare=False, repr=False)
    private_apic: bool = False

    @property
    def reserves_page(self) -> bool:
        """Whether its driver reserves a page when it first accepts memory: the buffer of page state changes.

        The series that does so (edk2 18fdffe825, 202405) also put the SVSM's calling area into the metadata.
        """
        return self.place_of(SectionKind.SVSM_CAA) is not None

    def place_of(self, kind: SectionKind) -> tuple[int, int] | None:
        """Return address and size, in bytes, of the first metadata section of a kind; None without one."""
        return next(((each.base, each.size) for each in self.sections if each.kind == kind), None)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FirmwareTraits:
        """Make traits of what ``dataclasses.asdict`` gave; KeyError or TypeError when it is not that.

        Older records know nothing of ``private_apic``.
        """
        sections = tuple(MetadataSection(**section) for section in data["sections"])
        return cls(**with_technologies(data, "snp_capable") | {"sections": sections})


def table_entries(image: bytes) -> dict[UUID, bytes]:
    """Return the GUIDed table's entries; empty when the image has no such table."""
    end = len(image) - _TABLE_END
    if end < _ENTRY_TAIL or image[end - 16 : end] != TABLE_FOOTER.bytes_le:
        return {}
    (total,) = struct.unpack_from("<H", image, end - _ENTRY_TAIL)
    table = image[max(0, end - total) : end - _ENTRY_TAIL]
    entries = {}
    cursor = len(table)
    while cursor >= _ENTRY_TAIL:
        (length,) = struct.unpack_from("<H", table, cursor - _ENTRY_TAIL)
        if not _ENTRY_TAIL <= length <= cursor:
            raise HarnessError("the firmware's GUIDed table is damaged", "build or fetch the firmware again")
        guid = UUID(bytes_le=table[cursor - 16 : cursor])
        entries[guid] = table[cursor - length : cursor - _ENTRY_TAIL]
        cursor -= length
    return entries


def sev_sections(image: bytes) -> tuple[MetadataSection, ...]:
    """Return the SEV metadata's sections; empty when the image has none."""
    pointer = table_entries(image).get(SEV_METADATA)
    if pointer is None:
        return ()
    start = len(image) - struct.unpack("<I", pointer[:4])[0]
    try:
        signature, _length, version, count = struct.unpack_from("<4sIII", image, start)
        if signature != b"ASEV" or version != 1:
            raise HarnessError(
                f"the firmware's SEV metadata is {signature!r} version {version}, not ASEV version 1",
                "build or fetch the firmware again",
            )
        return tuple(
            MetadataSection(*struct.unpack_from("<III", image, start + 16 + 12 * n)) for n in range(count)
        )
    except struct.error as error:
        raise HarnessError(f"the firmware's SEV metadata is damaged: {error}", "fetch it again") from error


def unpacked(image: bytes) -> Iterator[bytes]:
    """Yield the image, then the content of each LZMA section in it (the DXE drivers are in one)."""
    yield image
    place = image.find(_LZMA_SECTION.bytes_le)
    while place >= 4:
        header = place - 4
        (offset,) = struct.unpack_from("<H", image, place + 16)
        # The same GUID also stands as a value in code; a section header shows by its type byte.
        if image[header + 3] == _GUID_DEFINED and offset >= 24:
            decoder = lzma.LZMADecompressor(format=lzma.FORMAT_ALONE)
            try:
                yield decoder.decompress(image[header + offset :], max_length=_BIGGEST_PROGRAM)
            except lzma.LZMAError as error:
                raise HarnessError(
                    f"a compressed part of the firmware is damaged: {error}", "fetch it again"
                ) from error
        place = image.find(_LZMA_SECTION.bytes_le, place + 16)


def _private_apic(image: bytes) -> tuple[bool, str]:
    """Return whether SEC uses the local APIC with the C-bit, and what that was read from."""
    cores = [content for _, content in volume_files(image) if kind_of(content) == SECURITY_CORE]
    using = [core for core in cores if struct.pack("<I", LOCAL_APIC) in core]
    if not using:
        return False, f"no SEC that knows the local APIC at {LOCAL_APIC:#x}"
    private = not any(_LOADS_CR3.search(core) for core in using)
    told = "never loads CR3, so it keeps" if private else "loads CR3, so it changes"
    return private, f"SEC knows the local APIC at {LOCAL_APIC:#x} and {told} the reset vector's page tables"


def read_firmware_traits(image: bytes) -> FirmwareTraits:
    """Read the traits from an OVMF image (.fd, whole or CODE part); HarnessError when it is damaged."""
    sections = sev_sections(image)
    kinds = {section.kind for section in sections}
    parts = list(unpacked(image))
    acceptance = any(MEMORY_ACCEPTANCE_PROTOCOL.bytes_le in part for part in parts)
    listens = [
        str(name)
        for part in parts
        for name, content in volume_files(part)
        if MEMORY_ACCEPTANCE_PROTOCOL.bytes_le in content and BEFORE_EXIT.bytes_le in content
    ]
    private_apic, apic_source = _private_apic(image)
    prints = any(_ASSERTION.search(part) for part in parts)
    listed = ", ".join(f"{s.kind:#x} at {s.base:#x}+{s.size:#x}" for s in sections) or "none"
    return FirmwareTraits(
        technologies=tuple(name for name, needed in _PREPARED.items() if needed <= kinds),
        memory_acceptance=acceptance,
        accepts_at_exit=bool(listens),
        kernel_hashes=SectionKind.KERNEL_HASHES in kinds,
        debug_output=prints,
        sections=sections,
        sources={
            "technologies": f"SEV metadata sections: {listed}",
            "memory_acceptance": f"drivers {'hold' if acceptance else 'lack'} {MEMORY_ACCEPTANCE_PROTOCOL}",
            "accepts_at_exit": f"drivers with both that and {BEFORE_EXIT}: {', '.join(listens) or 'none'}",
            "debug_output": f"drivers {'hold' if prints else 'lack'} the text of assertions",
            "kernel_hashes": f"SEV metadata sections: {listed}",
            "private_apic": apic_source,
        },
        private_apic=private_apic,
    )
