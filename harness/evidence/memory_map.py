# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The EFI memory map and the configuration tables, as Linux prints them (``drivers/firmware/efi/efi.c``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet

if TYPE_CHECKING:
    from collections.abc import Iterable

E820Kind = Literal["usable", "reserved", "ACPI data", "ACPI NVS", "unusable", "persistent"]

TYPE_NAMES = (
    "Reserved",
    "Loader Code",
    "Loader Data",
    "Boot Code",
    "Boot Data",
    "Runtime Code",
    "Runtime Data",
    "Conventional",
    "Unusable",
    "ACPI Reclaim",
    "ACPI Mem NVS",
    "MMIO",
    "MMIO Port",
    "PAL Code",
    "Persistent",
    "Unaccepted",
)
"""Linux's names in the order of EFI_MEMORY_TYPE (UEFI 2.10, 7.2); 15 is EfiUnacceptedMemoryType."""

USABLE_TYPES = frozenset({"Loader Code", "Loader Data", "Boot Code", "Boot Data", "Conventional"})
"""What an operating system owns once ExitBootServices has returned."""

E820_OF_TYPE: dict[str, E820Kind] = {
    **dict.fromkeys(USABLE_TYPES, "usable"),
    "ACPI Reclaim": "ACPI data",
    "ACPI Mem NVS": "ACPI NVS",
    "Unusable": "unusable",
    "Persistent": "persistent",
}
"""How Linux's EFI stub translates (``setup_e820``). Types left out become "reserved", except Unaccepted: it
becomes "usable" in a kernel that supports it and vanishes in one that does not."""

_ENTRY = re.compile(
    r"\befi: mem(?P<index>\d{2,}): \[(?P<type>type=\d+|[A-Za-z ]+?) *(?P<attributes>\|[^\]\n]*)\] "
    r"range=\[(?P<start>0x[0-9a-f]{16})-(?P<last>0x[0-9a-f]{16})\] \((?P<mib>\d+)MB\)"
)
ATTRIBUTES = {
    0: "UC", 1: "WC", 2: "WT", 3: "WB", 4: "UCE", 12: "WP", 13: "RP", 14: "XP", 15: "NV", 16: "MR", 17: "RO",
    18: "SP", 19: "CC", 63: "RUN",
}  # fmt: skip
"""Bits of EFI_MEMORY_DESCRIPTOR.Attribute (UEFI 2.10, 7.2.3), in Linux's words."""
_TABLES = re.compile(r"\befi: (?P<tables>(?:[A-Za-z][\w .]*=0x[0-9a-f]+ *)+)$", re.MULTILINE)
_TABLE = re.compile(r"(?P<name>[A-Za-z][\w .]*?)=(?P<address>0x[0-9a-f]+)")


@dataclass(frozen=True)
class MemoryDescriptor:
    """One entry: addresses in bytes, ``end`` exclusive; ``line`` is the evidence."""

    type: str
    attributes: frozenset[str]
    start: int
    end: int
    line: str = ""

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.end - self.start


def _type_name(text: str) -> str:
    number = text.removeprefix("type=")
    if number == text:
        return text
    return TYPE_NAMES[int(number)] if int(number) < len(TYPE_NAMES) else text


def _descriptor(match: re.Match[str]) -> MemoryDescriptor:
    start, end = int(match["start"], 16), int(match["last"], 16) + 1
    if end <= start or (end - start) >> 20 != int(match["mib"]):
        raise EvidenceError(f"memory map line disagrees with itself: {match[0]}", "the serial log is damaged")
    attributes = _attributes(match["attributes"])
    return MemoryDescriptor(_type_name(match["type"].strip()), attributes, start, end, match[0])


@lru_cache(maxsize=256)  # a map has hundreds of lines, and firmware uses a handful of attributes
def attribute_names(bits: int) -> frozenset[str]:
    """Return the names of the bits of EFI_MEMORY_DESCRIPTOR.Attribute; unknown ones as ``bit-N``."""
    return frozenset(ATTRIBUTES.get(bit, f"bit-{bit}") for bit in range(64) if bits >> bit & 1)


def _attributes(text: str) -> frozenset[str]:
    """Read the words between bars; Linux prints one number instead when it does not know all bits."""
    words = {word.strip() for word in text.split("|") if word.strip()}
    number = next((word for word in words if word.startswith("attr=0x")), None)
    return frozenset(words) if number is None else attribute_names(int(number.removeprefix("attr="), 16))


def parse_memory_map(log: str) -> tuple[MemoryDescriptor, ...]:
    """Return the firmware's map from a log of a kernel booted with ``efi=debug``; empty when it printed none.

    Linux prints a second map later (its own, for SetVirtualAddressMap): only the first counts. Other console
    output between the lines is skipped; an entry that is missing or contradicts itself is an EvidenceError.
    """
    entries: list[MemoryDescriptor] = []
    for match in _ENTRY.finditer(log):
        index = int(match["index"])
        if index == 0 and entries:
            break
        if index != len(entries):
            raise EvidenceError(
                f"memory map line mem{len(entries):02} is missing before: {match[0]}",
                "the serial log lost or garbled a line",
            )
        entries.append(_descriptor(match))
    return tuple(entries)


def parse_config_tables(log: str) -> dict[str, int]:
    """Return the table names that Linux knows and their addresses (``efi: ACPI=0x... Unaccepted=0x...``)."""
    match = _TABLES.search(log)
    if match is None:
        return {}
    return {table["name"]: int(table["address"], 16) for table in _TABLE.finditer(match["tables"])}


def ranges_of(entries: Iterable[MemoryDescriptor], *types: str) -> IntervalSet:
    """Return the addresses of all entries of the given types."""
    return IntervalSet.of((entry.start, entry.end) for entry in entries if entry.type in types)
