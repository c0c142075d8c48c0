# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the UEFI shell's ``memmap`` and ``dh`` print (UEFI Shell specification 2.2, 5.3; edk2's ShellPkg)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.evidence.memory_map import TYPE_NAMES, MemoryDescriptor, attribute_names
from harness.evidence.problems import EvidenceError

_SHELL_NAMES = (
    *("Reserved", "LoaderCode", "LoaderData", "BS_Code", "BS_Data", "RT_Code", "RT_Data", "Available"),
    *("Unusable", "ACPI_Recl", "ACPI_NVS", "MMIO", "MMIO_Port", "PalCode", "Persistent", "Unaccepted"),
)
"""In the order of EFI_MEMORY_TYPE. A shell that does not know a type prints its number in hexadecimal."""
_NAMES = dict(zip(_SHELL_NAMES, TYPE_NAMES, strict=True))
_ENTRY = re.compile(
    r"^(?P<type>\S+) +(?P<start>[0-9A-F]{16})-(?P<last>[0-9A-F]{16}) (?P<pages>[0-9A-F]{16}) "
    r"(?P<attributes>[0-9A-F]{16})\s*$",
    re.MULTILINE,
)
_HANDLE = re.compile(r"^ *(?P<number>[0-9A-F]{1,4}): (?P<protocols>.*)$", re.MULTILINE)
_PROTOCOL = re.compile(r"([A-Za-z0-9-]+)(?:\([^ ]*\))?(?= |$)")
_TOTAL = re.compile(
    r"^ *(?P<name>[A-Za-z_]+) *: +(?P<pages>[0-9,]+) Pages \((?P<bytes>[0-9,]+)", re.MULTILINE
)
_MEMORY = re.compile(r"Total Memory: +(?P<mib>[0-9,]+) MB")


@dataclass(frozen=True)
class ShellMap:
    """The map, the pages of each type as the shell adds them up, and its total of memory in MiB."""

    entries: tuple[MemoryDescriptor, ...]
    pages: dict[str, int]
    total_mib: int


def parse_shell_memmap(text: str) -> ShellMap:
    """Read the table and the totals; EvidenceError when there is none, or they contradict each other."""
    entries = tuple(_descriptor(match) for match in _ENTRY.finditer(text))
    memory = _MEMORY.search(text)
    if not entries or memory is None:
        raise EvidenceError("the shell printed no memory map", text[-200:])
    pages = {_type(match["name"]): _decimal(match["pages"]) for match in _TOTAL.finditer(text)}
    for name, stated in pages.items():
        found = sum(entry.size for entry in entries if entry.type == name) >> 12
        if found != stated:
            raise EvidenceError(f"the shell counts {stated} pages of {name}, its entries have {found}", "")
    return ShellMap(entries, pages, _decimal(memory["mib"]))


def parse_handles(text: str) -> dict[int, frozenset[str]]:
    """Return each handle that ``dh`` lists and the names of its protocols; EvidenceError for none."""
    handles = {
        int(match["number"], 16): frozenset(_PROTOCOL.findall(match["protocols"]))
        for match in _HANDLE.finditer(text)
    }
    if not handles:
        raise EvidenceError("the shell listed no handle", text[-200:])
    return handles


def _descriptor(match: re.Match[str]) -> MemoryDescriptor:
    start, end = int(match["start"], 16), int(match["last"], 16) + 1
    if end - start != int(match["pages"], 16) << 12:
        raise EvidenceError(f"a line of the shell's map disagrees with itself: {match[0]}", "")
    attributes = attribute_names(int(match["attributes"], 16))
    return MemoryDescriptor(_type(match["type"]), attributes, start, end, match[0].strip())


def _type(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    if re.fullmatch(r"[0-9A-Fa-f]{1,8}", name) and int(name, 16) < len(TYPE_NAMES):
        return TYPE_NAMES[int(name, 16)]
    return name


def _decimal(text: str) -> int:
    return int(text.replace(",", ""))
