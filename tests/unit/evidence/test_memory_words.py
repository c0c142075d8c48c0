# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Memory that the command line takes away, as Linux does it."""

from __future__ import annotations

import pytest

from harness.evidence.e820 import E820Entry, ranges_of_kind
from harness.evidence.linux.memory_words import huge_bytes, kernel_cmdline, map_in_use
from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
GIVEN = (
    E820Entry(0, 0x9F000, "usable"),
    E820Entry(0x9F000, 0x100000, "reserved"),
    E820Entry(0x100000, 2 * GIB - MIB, "usable"),
    E820Entry(2 * GIB - MIB, 2 * GIB, "ACPI data"),
    E820Entry(4 * GIB, 8 * GIB, "usable"),
)


def test_words_about_other_things_change_nothing() -> None:
    words = (
        "console=ttyS0 crashkernel=256M swiotlb=65536 hugepages=64 memhp_default_state=offline mem -- mem=1G"
    )
    assert map_in_use(GIVEN, words.replace(" mem ", " ")) == GIVEN


@pytest.mark.parametrize("word", ["mem=6G", "mem=0x180000000", "mem=6144M", "memmap=6G", "mem=060000000000"])
def test_a_limit_cuts_what_is_usable_above_it(word: str) -> None:
    used = map_in_use(GIVEN, f"quiet {word}")
    assert ranges_of_kind(used, "usable").bounds[-1] == (4 * GIB, 6 * GIB)
    assert ranges_of_kind(used, "ACPI data") == ranges_of_kind(GIVEN, "ACPI data")


@pytest.mark.parametrize(
    ("how", "kind"), [("$", "reserved"), ("#", "ACPI data"), ("!", "persistent")]
)  # fmt: skip
def test_a_part_is_laid_over_the_map(how: str, kind: str) -> None:
    used = map_in_use(GIVEN, f"memmap=64K{how}5G")
    assert ranges_of_kind(GIVEN, "usable") - ranges_of_kind(used, "usable") == IntervalSet.span(
        5 * GIB, 5 * GIB + 64 * KIB
    )
    assert 5 * GIB in ranges_of_kind(used, kind)


def test_what_is_usable_does_not_win_over_what_is_reserved() -> None:
    assert ranges_of_kind(map_in_use(GIVEN, "memmap=1M@0"), "usable").bounds[0] == (0, 0x9F000)


def test_an_exact_map_starts_with_nothing() -> None:
    used = map_in_use(GIVEN, "memmap=exactmap,640K@0 memmap=1G@1M,16M$2G")
    assert used == (
        E820Entry(0, 640 * KIB, "usable"),
        E820Entry(MIB, GIB + MIB, "usable"),
        E820Entry(2 * GIB, 2 * GIB + 16 * MIB, "reserved"),
    )


@pytest.mark.parametrize(
    ("word", "kind"),
    [("memmap=1G%4G-1+2", "reserved"), ("memmap=1G%4G+3", "ACPI data"), ("memmap=1G%4G-1", "")],
)
def test_types_are_changed(word: str, kind: str) -> None:
    used = map_in_use(GIVEN, word)
    assert ranges_of_kind(used, "usable").bounds[-1] == (5 * GIB, 8 * GIB)
    assert bool(kind) == (4 * GIB in ranges_of_kind(used))
    assert not kind or 4 * GIB in ranges_of_kind(used, kind)


@pytest.mark.parametrize(
    "word", ["memmap=1G~4G", "mem=lots", "efi_fake_mem=1G@4G:0x40000", "memmap=1G%4G+99"]
)
def test_what_cannot_be_followed_is_named(word: str) -> None:
    with pytest.raises(EvidenceError, match=word.replace("+", r"\+")):
        map_in_use(GIVEN, f"quiet {word}")


def test_a_kind_without_a_number_is_followed_only_when_nothing_is_asked_for() -> None:
    odd = (*GIVEN, E820Entry(9 * GIB, 10 * GIB, "soft reserved"))
    assert map_in_use(odd, "quiet") == odd
    with pytest.raises(EvidenceError, match="soft reserved"):
        map_in_use(odd, "mem=1G")


def test_hexadecimal_digits_are_no_unit() -> None:
    assert ranges_of_kind(map_in_use(GIVEN, "mem=0x10000000e"), "usable").bounds[-1] == (
        4 * GIB,
        4 * GIB + 14,
    )


def test_the_words_are_those_that_the_kernel_printed() -> None:
    log = "[    0.000000] Command line: console=ttyS0 mem=1G\n[    0.2] Kernel command line: console=ttyS0"
    assert kernel_cmdline(log) == "console=ttyS0 mem=1G"
    assert kernel_cmdline("") == ""


def test_pages_of_1_gib_come_back_in_memtotal() -> None:
    log = (
        "[    0.3] HugeTLB: registered 1.00 GiB page size, pre-allocated 2 pages\n"
        "[    0.3] HugeTLB: registered 2.00 MiB page size, pre-allocated 64 pages\n"
    )
    assert huge_bytes(log, "") == 2 * GIB
    with pytest.raises(EvidenceError, match="hugetlb_free_vmemmap=on"):
        huge_bytes(log, "hugetlb_free_vmemmap=on")
