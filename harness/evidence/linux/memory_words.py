# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Memory that the kernel's command line takes away: ``mem=`` and ``memmap=`` change the map that Linux uses.

As ``arch/x86/kernel/e820.c`` does: ``e820__range_add()`` lays an entry over the map and
``e820__update_table()`` lets the highest type win, ``e820__range_remove()`` cuts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.evidence.e820 import E820Entry
from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TYPES = {"usable": 1, "reserved": 2, "ACPI data": 3, "ACPI NVS": 4, "unusable": 5, "persistent": 12}
_KINDS = {number: kind for kind, number in _TYPES.items()} | {7: "persistent"}
_LAID = {"@": "usable", "#": "ACPI data", "$": "reserved", "!": "persistent"}
_UNITS = {letter: 1 << 10 * power for power, letter in enumerate("KMGTPE", start=1)}
_NUMBER = r"(?:0[xX][0-9a-fA-F]+|\d+)[kKmMgGtTpPeE]?"
_LAYS = re.compile(rf"^(?P<size>{_NUMBER})(?P<how>[@#$!])(?P<start>{_NUMBER})$")
_UPDATES = re.compile(
    rf"^(?P<size>{_NUMBER})%(?P<start>{_NUMBER})(?:-(?P<old>{_NUMBER}))?(?:\+(?P<new>{_NUMBER}))?$"
)
_LIMITS = re.compile(rf"^{_NUMBER}$")
_PARSED = re.compile(r"(?P<digits>0[xX][0-9a-fA-F]+|\d+)(?P<unit>[kKmMgGtTpPeE]?)")
_ALL = 1 << 64
_COMMAND_LINE = re.compile(r"^(?:\[ *\d+\.\d{6}\] )?Command line: (?P<words>[^\n]*)$", re.MULTILINE)
_UNJUDGED = {
    "efi_fake_mem": "it changes attributes of the firmware's map, and with them what Linux uses",
    "memtest": "it takes away pages that it finds bad",
}
_GIGANTIC = re.compile(r"HugeTLB:? registered 1\.00 GiB page size, pre-allocated (?P<pages>\d+) pages")


def kernel_cmdline(log: str) -> str:
    """Return the command line that Linux printed, or "": whoever gave it, a UKI has words of its own."""
    match = _COMMAND_LINE.search(log)
    return match["words"] if match else ""


def map_in_use(entries: Sequence[E820Entry], cmdline: str) -> tuple[E820Entry, ...]:
    """Return the e820 map that Linux uses: the one that it was given, after what its command line takes away.

    EvidenceError, which names the parameter, for what cannot be followed.
    """
    types = {entry: _TYPES.get(entry.kind) for entry in entries}
    words = list(_words(cmdline))
    if not words:
        return tuple(entries)
    ranges: list[tuple[int, int, int]] = []
    for entry, number in types.items():
        if number is None:
            raise _unjudged(" ".join(words), f"the map has an entry of kind {entry.kind}")
        ranges.append((entry.start, entry.end, number))
    for word in words:
        key, _, value = word.partition("=")
        if key in _UNJUDGED:
            raise _unjudged(word, _UNJUDGED[key])
        for part in value.split(","):
            ranges = _after(ranges, word, key, part)
    return tuple(_entries(ranges))


def huge_bytes(log: str, cmdline: str) -> int:
    """Return what pages of 1 GiB take, which Linux sets aside before it has its memory.

    EvidenceError where pages of its own map are given back in exchange (``hugetlb_free_vmemmap=``).
    """
    for word in cmdline.split():
        if word.startswith("hugetlb_free_vmemmap=") and not word.endswith(("=off", "=0")):
            raise _unjudged(word, "Linux frees parts of its page map")
    return sum(int(match["pages"]) << 30 for match in _GIGANTIC.finditer(log))


def _words(cmdline: str) -> Iterator[str]:
    for word in cmdline.partition(" -- ")[0].split():
        if word.partition("=")[0] in {"mem", "memmap", *_UNJUDGED}:
            yield word


def _after(ranges: list[tuple[int, int, int]], word: str, key: str, part: str) -> list[tuple[int, int, int]]:
    """Return the map after one part of a parameter."""
    if key == "memmap" and part == "exactmap":
        return []
    if _LIMITS.match(part):
        return _updated(ranges, _bytes(part), _ALL, _TYPES["usable"], 0)
    if key == "memmap" and (match := _LAYS.match(part)):
        start = _bytes(match["start"])
        return [*ranges, (start, start + _bytes(match["size"]), _TYPES[_LAID[match["how"]]])]
    if key == "memmap" and (match := _UPDATES.match(part)):
        start = _bytes(match["start"])
        old, new = (_bytes(match[name] or "0") for name in ("old", "new"))
        if new and new not in _KINDS:
            raise _unjudged(word, f"type {new} is not known")
        return _updated(ranges, start, start + _bytes(match["size"]), old, new)
    raise _unjudged(word, "it is not understood")


def _updated(
    ranges: list[tuple[int, int, int]], start: int, end: int, old: int, new: int
) -> list[tuple[int, int, int]]:
    """Return the map whose entries of type ``old`` (0: of any) are ``new`` (0: gone) in ``[start, end)``."""
    area, found = IntervalSet.span(start, max(start, end)), []
    for first, last, number in ranges:
        if old not in {0, number}:
            found.append((first, last, number))
            continue
        entry = IntervalSet.span(first, last)
        found += [(*bounds, number) for bounds in entry - area]
        if new:
            found += [(*bounds, new) for bounds in entry & area]
    return found


def _entries(ranges: Iterable[tuple[int, int, int]]) -> Iterator[E820Entry]:
    """Yield the entries of a map without overlaps: where there are some the highest type wins."""
    taken, found = IntervalSet(), []
    for number in sorted({number for *_, number in ranges}, reverse=True):
        own = IntervalSet.of((start, end) for start, end, kind in ranges if kind == number) - taken
        taken |= own
        found += [E820Entry(start, end, _KINDS[number]) for start, end in own]
    yield from sorted(found, key=lambda entry: entry.start)


def _bytes(text: str) -> int:
    """Return what Linux's memparse() does: decimal, 0x… or 0… for octal, with K to E behind it."""
    match = _PARSED.fullmatch(text)
    assert match is not None, text
    digits, unit = match["digits"].lower(), _UNITS.get(match["unit"].upper(), 1)
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    return int(digits, base) * unit


def _unjudged(word: str, why: str) -> EvidenceError:
    return EvidenceError(f"the kernel's parameter {word}: {why}", "judge the memory of a cell without it")
