# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks that no page is lost on the way into Linux, and each is accepted or known not to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.finding import Check, Needs, Problem
from harness.checks.host import page_states
from harness.evidence.e820 import ranges_of_kind
from harness.evidence.kernel_log import memory_line
from harness.evidence.linux.memory_words import huge_bytes, kernel_cmdline
from harness.evidence.problems import EvidenceError
from harness.intervals import amount
from harness.machine.memory_layout import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.evidence import Evidence

_KIB = 1024
_UNIT = 2 << 20
"""Memory that one bit of Linux's table of unaccepted memory stands for (PMD_SIZE)."""
_REGION = 24
"""sizeof(struct memblock_region) of a 64-bit kernel with NUMA."""
_RESERVED_LISTS_KB = frozenset(
    {0, *(-(-_REGION * count // PAGE) * PAGE // _KIB for count in (256, 512, 1024))}
)
"""What ``memblock_discard()`` (mm/memblock.c) frees: 128 ranges have room in the kernel, more are doubled."""


def _table_pages(evidence: Evidence) -> int:
    """Return the most pages that Linux's table of unaccepted memory can lie in, 0 without such a table.

    Linux counts them as its own, though they are ACPI data to e820 (``reserve_unaccepted()``).
    """
    if "Unaccepted" not in evidence.config_tables:
        return 0
    bits = -(-evidence.high_ram.size // _UNIT)
    return 2 + bits // 8 // PAGE  # its head, and that it need not begin with a page


def _present_is_usable(evidence: Evidence) -> Iterator[Problem]:
    """Ask that the pages which Linux counts are those that e820 calls usable; it leaves out the first one."""
    line = memory_line(evidence.record.serial_text)
    usable = ranges_of_kind(evidence.map_in_use, "usable")
    pages = sum(end // PAGE - -(-start // PAGE) for start, end in usable) - 1
    present = line.present_kb * _KIB // PAGE
    if not pages <= present <= pages + _table_pages(evidence):
        yield Problem(
            "pages-differ",
            f"e820 offers {pages} pages, Linux counts {present}: {present - pages:+} pages",
            line.text,
            f"command line: {kernel_cmdline(evidence.record.serial_text)}",
            *(entry.line for entry in evidence.e820 if entry.kind == "usable"),
            pages=present - pages,
        )


def _total_is_present(evidence: Evidence) -> Iterator[Problem]:
    """Ask that MemTotal is what was present, less what the kernel reserved, plus what it freed since.

    Linux frees the list of its reserved ranges without a word where it had to grow: an SNP guest with more
    vCPUs has more of them. Linux before 6.12 counts pages of 1 GiB as reserved, and in MemTotal later.
    """
    log = evidence.record.serial_text
    line = memory_line(log)
    total = evidence.memory.total // _KIB
    huge = huge_bytes(log, kernel_cmdline(log)) // _KIB
    wanted = line.present_kb - line.reserved_kb + line.freed_kb
    if not {total - wanted, total - wanted - huge} & _RESERVED_LISTS_KB:
        yield Problem(
            "total-differs",
            f"MemTotal is {total} kB, and should be {wanted} kB: {line.present_kb} present - "
            f"{line.reserved_kb} reserved + {line.freed_kb} freed"
            f"{f' (+ {huge} in pages of 1 GiB)' if huge else ''}: {total - wanted:+} kB",
            line.text,
            kilobytes=total - wanted,
        )


def _meminfo_is_vmstat(evidence: Evidence) -> Iterator[Problem]:
    unaccepted = evidence.memory.unaccepted
    pages = evidence.guest.vmstat.get("nr_unaccepted", 0)
    if unaccepted is not None and unaccepted != pages * PAGE:
        yield Problem(
            "unaccepted-differs",
            f"meminfo says that {amount(unaccepted)} are unaccepted, vmstat {pages} pages",
            bytes=unaccepted,
            pages=pages,
        )
    if unaccepted is not None and unaccepted > evidence.memory.free:
        yield Problem(
            "unaccepted-beyond-free",
            f"meminfo says that {amount(unaccepted)} are unaccepted, "
            f"more than are free ({amount(evidence.memory.free)})",
            bytes=unaccepted,
        )


def _unvalidated_is_unaccepted(evidence: Evidence) -> Iterator[Problem]:
    """Ask that what was usable and is neither validated nor shared in the end is in Linux's Unaccepted.

    Unaccepted was read before, and only falls.
    """
    ledger = evidence.ledger
    if ledger.end is None:
        raise EvidenceError("the ledger was cut short", evidence.end)
    state = ledger.final()
    unaccepted = evidence.memory.unaccepted or 0
    left = (ranges_of_kind(evidence.map_in_use, "usable") & evidence.ram) - state.validated - state.shared
    if left.size > unaccepted:
        yield Problem(
            "never-validated",
            f"{left.amount} of usable memory were never validated, "
            f"meminfo calls {amount(unaccepted)} unaccepted",
            f"not validated: {left}",
            bytes=left.size,
            unaccepted=unaccepted,
        )


PRESENT_IS_USABLE = Check(
    "present-is-usable",
    "Does Linux count exactly the pages that e820 calls usable?",
    _present_is_usable,
    Needs.REPORT,
)
TOTAL_IS_PRESENT = Check(
    "total-is-present",
    "Is MemTotal, to the page, what was there less what the kernel keeps?",
    _total_is_present,
    Needs.REPORT,
)
MEMINFO_IS_VMSTAT = Check(
    "meminfo-is-vmstat",
    "Do meminfo and vmstat agree on unaccepted memory, as a part of free memory?",
    _meminfo_is_vmstat,
    Needs.REPORT,
)
UNVALIDATED_IS_UNACCEPTED = Check(
    "unvalidated-is-unaccepted",
    "Is all usable memory validated, or counted as Unaccepted by the kernel?",
    _unvalidated_is_unaccepted,
    Needs.LEDGER,
    by_page_states=page_states.unvalidated_is_unaccepted,
)
