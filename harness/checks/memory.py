# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks that account for every byte of RAM: in the firmware's map, in e820, in what the kernel uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.finding import Check, Needs, Problem
from harness.evidence.e820 import ranges_of_kind
from harness.evidence.memory_map import E820_OF_TYPE, ranges_of
from harness.intervals import IntervalSet, amount
from harness.machine.memory_layout import FOUR_GIB, LEGACY_HOLE, PAGE
from harness.matrix.cell import format_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence

UNACCEPTED = "Unaccepted"
_FIRST_PAGE = IntervalSet.span(0, PAGE)


def _unaccepted_ranges(evidence: Evidence) -> IntervalSet:
    return ranges_of(evidence.memory_map, UNACCEPTED)


def _ram_accounted(evidence: Evidence) -> Iterator[Problem]:
    """Ask for every byte, whatever its kind; only the legacy hole may be in no entry."""
    listed = ranges_of_kind(evidence.e820)
    lost = evidence.ram - listed - LEGACY_HOLE
    if lost:
        yield Problem(
            "not-in-e820",
            f"{lost.amount} of the configured {format_memory(evidence.cell.memory_mib)} "
            f"are in no e820 entry: {lost}",
            *(entry.line for entry in evidence.e820),
            bytes=lost.size,
        )


def _high_ram_usable(evidence: Evidence) -> Iterator[Problem]:
    lost = evidence.high_ram - ranges_of_kind(evidence.e820, "usable")
    if lost:
        yield Problem(
            "not-usable",
            f"{lost.amount} at 4 GiB and above are not usable: {lost}",
            *(entry.line for entry in evidence.e820 if entry.end > FOUR_GIB),
            bytes=lost.size,
        )


def _high_ram_lost(evidence: Evidence) -> Iterator[Problem]:
    found = evidence.high_ram & ranges_of_kind(evidence.e820, "usable")
    if found:
        yield Problem(
            "usable-after-all",
            f"{found.amount} at 4 GiB and above are usable, and should be lost: {found}",
            "the fault that this cell is known for is gone: the model of what should happen is out of date",
            bytes=found.size,
        )


def _e820_matches_firmware(evidence: Evidence) -> Iterator[Problem]:
    """Redo the EFI stub's translation, kind by kind, inside the RAM; unaccepted memory must become usable."""
    kinds = {entry.type: E820_OF_TYPE.get(entry.type, "reserved") for entry in evidence.memory_map}
    kinds[UNACCEPTED] = "usable"
    for kind in sorted({*kinds.values(), *(entry.kind for entry in evidence.e820)}):
        of_kind = [name for name, translated in kinds.items() if translated == kind]
        offered = ranges_of(evidence.memory_map, *of_kind) & evidence.ram
        received = ranges_of_kind(evidence.e820, kind) & evidence.ram
        if lost := offered - received:
            yield Problem(
                "other-kind",
                f"{lost.amount} that the firmware's map makes {kind} are something else in e820: {lost}",
                *(
                    entry.line
                    for entry in evidence.memory_map
                    if lost & IntervalSet.span(entry.start, entry.end)
                ),
                bytes=lost.size,
                e820=kind,
            )
        if extra := received - offered:
            yield Problem(
                "kind-from-nowhere",
                f"{extra.amount} are {kind} in e820 but not by the firmware's map: {extra}",
                *(entry.line for entry in evidence.e820 if extra & IntervalSet.span(entry.start, entry.end)),
                bytes=extra.size,
                e820=kind,
            )


def _kernel_uses_usable(evidence: Evidence) -> Iterator[Problem]:
    """Ask that all that e820 calls usable ends up as System RAM; Linux keeps the first page to itself.

    What the command line takes away (``mem=``, ``memmap=``) is not asked for.
    """
    usable = ranges_of_kind(evidence.map_in_use, "usable")
    if unused := usable - evidence.guest.system_ram - _FIRST_PAGE:
        yield Problem(
            "not-used",
            f"the kernel does not use {unused.amount} that e820 offers: {unused}",
            bytes=unused.size,
        )


def _no_unaccepted_entries(evidence: Evidence) -> Iterator[Problem]:
    lines = [entry.line for entry in evidence.memory_map if entry.type == UNACCEPTED]
    if lines:
        yield Problem(
            "unaccepted-entries",
            "the firmware's map has unaccepted memory (type 15)",
            *lines,
            entries=len(lines),
        )


def _unaccepted_entries_high(evidence: Evidence) -> Iterator[Problem]:
    unaccepted = _unaccepted_ranges(evidence)
    if not unaccepted:
        yield Problem("no-unaccepted-entries", "the firmware's map has no unaccepted memory (type 15)")
    if outside := unaccepted - evidence.high_ram:
        yield Problem(
            "unaccepted-elsewhere",
            f"memory outside the RAM at 4 GiB and above is unaccepted: {outside}",
            bytes=outside.size,
        )


def _no_unaccepted_table(evidence: Evidence) -> Iterator[Problem]:
    if UNACCEPTED in evidence.config_tables:
        yield Problem(
            "table", f"there is a table of unaccepted memory at {evidence.config_tables[UNACCEPTED]:#x}"
        )


def _unaccepted_table(evidence: Evidence) -> Iterator[Problem]:
    if UNACCEPTED not in evidence.config_tables:
        yield Problem(
            "no-table",
            "the EFI stub left no table of unaccepted memory",
            "tables: " + ", ".join(evidence.config_tables),
        )


def _nothing_unaccepted(evidence: Evidence) -> Iterator[Problem]:
    unaccepted = evidence.memory.unaccepted
    if unaccepted:
        yield Problem(
            "unaccepted",
            f"meminfo says that {amount(unaccepted)} are unaccepted, none should be",
            bytes=unaccepted,
        )
    if pages := evidence.guest.vmstat.get("nr_unaccepted", 0):
        yield Problem(
            "unaccepted-pages", f"vmstat says {pages} pages are unaccepted, none should be", pages=pages
        )
    if (unaccepted is not None) != evidence.traits.kernel.unaccepted_memory:
        yield _line_against_trait(evidence)


def _something_unaccepted(evidence: Evidence) -> Iterator[Problem]:
    unaccepted = evidence.memory.unaccepted
    most = _unaccepted_ranges(evidence).size
    if unaccepted is None:
        yield _line_against_trait(evidence)
    elif not 0 < unaccepted <= most:
        yield Problem(
            "unaccepted-amount",
            f"meminfo says that {amount(unaccepted)} are unaccepted, not between 1 page and {amount(most)}",
            bytes=unaccepted,
            most=most,
        )
    if not evidence.guest.vmstat.get("nr_unaccepted"):
        yield Problem("no-unaccepted-pages", "vmstat's nr_unaccepted is 0 or missing")


def _line_against_trait(evidence: Evidence) -> Problem:
    has = "has no" if evidence.memory.unaccepted is None else "has an"
    return Problem(
        "unaccepted-line",
        f"meminfo {has} Unaccepted line, against the kernel's config",
        evidence.traits.kernel.sources.get("unaccepted_memory", ""),
    )


RAM_ACCOUNTED = Check(
    "ram-accounted", "Is every byte of the configured RAM in an e820 entry?", _ram_accounted, Needs.LOG
)
HIGH_RAM_USABLE = Check(
    "high-ram-usable", "Is all RAM at 4 GiB and above usable in e820?", _high_ram_usable, Needs.LOG
)
HIGH_RAM_LOST = Check(
    "high-ram-lost", "Known fault: is all RAM at 4 GiB and above lost?", _high_ram_lost, Needs.LOG
)
E820_MATCHES_FIRMWARE = Check(
    "e820-matches-firmware",
    "Did the firmware's map reach the kernel's e820 unharmed?",
    _e820_matches_firmware,
    Needs.LOG,
)
KERNEL_USES_USABLE = Check(
    "kernel-uses-usable",
    "Does the kernel use all memory that e820 offers?",
    _kernel_uses_usable,
    Needs.REPORT,
)
NO_UNACCEPTED_ENTRIES = Check(
    "no-unaccepted-entries",
    "Is the firmware's map free of unaccepted memory?",
    _no_unaccepted_entries,
    Needs.MAP,
)
UNACCEPTED_ENTRIES_HIGH = Check(
    "unaccepted-entries-high",
    "Is memory unaccepted in the map, and only at 4 GiB and above?",
    _unaccepted_entries_high,
    Needs.MAP,
)
NO_UNACCEPTED_TABLE = Check(
    "no-unaccepted-table",
    "Are the EFI tables free of one of unaccepted memory?",
    _no_unaccepted_table,
    Needs.LOG,
)
UNACCEPTED_TABLE = Check(
    "unaccepted-table", "Did the EFI stub leave a table of unaccepted memory?", _unaccepted_table, Needs.LOG
)
NOTHING_UNACCEPTED = Check(
    "nothing-unaccepted", "Is all memory accepted after the boot?", _nothing_unaccepted, Needs.REPORT
)
SOMETHING_UNACCEPTED = Check(
    "something-unaccepted", "Is memory still unaccepted after the boot?", _something_unaccepted, Needs.REPORT
)
