# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The e820 map that the kernel was given (``BIOS-e820:`` lines, Linux ``arch/x86/kernel/e820.c``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet

if TYPE_CHECKING:
    from collections.abc import Iterable

_LINE = re.compile(
    r"\bBIOS-e820: \[mem (?P<start>0x[0-9a-f]{16})-(?P<last>0x[0-9a-f]{16})\] +(?P<kind>\S[^\n\[]*)"
)
# Linux 7 says "System RAM" and "device reserved" where older kernels say "usable" and "reserved".
_KINDS = {
    "usable": "usable",
    "System RAM": "usable",
    "reserved": "reserved",
    "device reserved": "reserved",
    "soft reserved": "soft reserved",
    "ACPI data": "ACPI data",
    "ACPI NVS": "ACPI NVS",
    "unusable": "unusable",
    "persistent": "persistent",
}
_NUMBERED = re.compile(r"^(?P<name>persistent|type) (?:\(type )?\d+\)?$")


@dataclass(frozen=True)
class E820Entry:
    """One entry: addresses in bytes, ``end`` exclusive; ``kind`` in the words of Linux before version 7."""

    start: int
    end: int
    kind: str
    line: str = ""


def _kind(text: str) -> str:
    if kind := _KINDS.get(text):
        return kind
    if match := _NUMBERED.match(text):
        return "persistent" if match["name"] == "persistent" else text
    raise EvidenceError(
        f"e820 kind not known: {text!r}", "the serial log is damaged, or the kernel's words changed"
    )


def parse_e820(log: str) -> tuple[E820Entry, ...]:
    """Return the map as the kernel received it, in printed order; empty when no line is there.

    Entries that overlap or have an unknown kind are an EvidenceError.
    """
    entries: list[E820Entry] = []
    for match in _LINE.finditer(log):
        entry = E820Entry(
            int(match["start"], 16),
            int(match["last"], 16) + 1,
            _kind(match["kind"].strip()),
            match[0].strip(),
        )
        if entry.end <= entry.start or (entries and entry.start < entries[-1].end):
            raise EvidenceError(f"e820 line out of order: {entry.line}", "the serial log is damaged")
        entries.append(entry)
    return tuple(entries)


def ranges_of_kind(entries: Iterable[E820Entry], *kinds: str) -> IntervalSet:
    """Return the addresses of all entries of the given kinds; of all entries when no kind is named."""
    return IntervalSet.of((entry.start, entry.end) for entry in entries if not kinds or entry.kind in kinds)
