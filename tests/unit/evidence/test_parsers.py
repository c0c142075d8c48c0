# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Parsers of console text and of the guest's document, on real samples and on damaged ones."""

from __future__ import annotations

from typing import Any

import pytest

from harness.evidence.e820 import parse_e820, ranges_of_kind
from harness.evidence.guest_report import parse_guest
from harness.evidence.kernel_log import kernel_release, sev_features, sev_lines
from harness.evidence.meminfo import memory_figures, parse_meminfo
from harness.evidence.memory_map import parse_config_tables, parse_memory_map, ranges_of
from harness.evidence.problems import EvidenceError
from harness.evidence.record import guest_document
from harness.evidence.text import plain_text
from harness.intervals import IntervalSet
from harness.machine.memory_layout import GIB, MIB, configured_ram, high_ram
from tests.support.data import DATA

HIGH_8G = IntervalSet.span(0x1_0000_0000, 0x2_8000_0000)


def serial(name: str) -> str:
    return plain_text((DATA / f"{name}.serial.log").read_bytes())


def document(name: str) -> dict[str, Any]:
    found, why = guest_document(serial(name))
    assert found is not None, why
    return found


@pytest.mark.parametrize("name", ["plain-7.2-8G", "snp-emulated-6.1-8G", "snp-emulated-6.12-8G"])
def test_memory_map(name: str) -> None:
    entries = parse_memory_map(serial(name))
    assert len(entries) > 100
    assert entries[0].type == "Conventional"
    assert entries[0].attributes == {"WB", "WT", "WC", "UC"}
    assert (entries[0].start, entries[0].end) == (0, 0xA0000)
    high = "Unaccepted" if "6.12" in name else "Conventional"
    assert ranges_of(entries, high) & HIGH_8G == HIGH_8G
    assert "RUN" in next(entry for entry in entries if entry.type == "Runtime Data").attributes


def test_memory_map_amid_other_output() -> None:
    text = serial("snp-emulated-6.12-8G")
    noisy = text.replace("[    0.000000] efi: mem05:", "garbage\x00\ufffd\nmore [    0.000000] efi: mem05:")
    assert parse_memory_map(noisy) == parse_memory_map(text)


def test_memory_map_that_lost_a_line() -> None:
    lines = serial("snp-emulated-6.12-8G").splitlines()
    without = "\n".join(line for line in lines if "efi: mem07:" not in line)
    with pytest.raises(EvidenceError, match="mem07 is missing before"):
        parse_memory_map(without)


def test_memory_map_size_must_agree() -> None:
    text = serial("snp-emulated-6.12-8G").replace("(6144MB)", "(6143MB)")
    with pytest.raises(EvidenceError, match="disagrees with itself"):
        parse_memory_map(text)


def test_memory_map_absent() -> None:
    assert parse_memory_map("Linux version 6.1.0 (x)\n") == ()


@pytest.mark.parametrize(("word", "name"), [("type=15", "Unaccepted"), ("type=16", "type=16")])
def test_memory_map_numbered_type(word: str, name: str) -> None:
    line = f"efi: mem00: [{word:<12}|   |WB] range=[0x0000000000000000-0x00000000001fffff] (2MB)\n"
    (entry,) = parse_memory_map(line)
    assert entry.type == name
    assert entry.size == 2 * MIB


def test_memory_map_with_attributes_that_linux_does_not_know() -> None:
    raw = "attr=0x870000000000400f"
    line = f"efi: mem00: [Conventional|{raw}] range=[0x0000000100000000-0x00000001001fffff] (2MB)\n"
    (entry,) = parse_memory_map(line)
    assert entry.attributes == {"UC", "WC", "WT", "WB", "XP", "RUN", "bit-56", "bit-57", "bit-58"}


def test_config_tables() -> None:
    lazy = parse_config_tables(serial("snp-emulated-6.12-8G"))
    assert lazy["ACPI 2.0"] == 0x7F37D014
    assert lazy["Unaccepted"] == 0x7F37EB18
    assert "Unaccepted" not in parse_config_tables(serial("snp-emulated-6.12-2G"))
    assert parse_config_tables("efi: EFI v2.7 by EDK II\n") == {}


@pytest.mark.parametrize("name", ["plain-7.2-8G", "snp-emulated-6.1-8G"])
def test_e820_in_both_wordings(name: str) -> None:
    entries = parse_e820(serial(name))
    assert {entry.kind for entry in entries} == {"usable", "reserved", "ACPI data", "ACPI NVS"}
    assert ranges_of_kind(entries, "usable").from_address(4 * GIB) == HIGH_8G


def test_e820_words_that_nobody_knows() -> None:
    with pytest.raises(EvidenceError, match="kind not known: 'wonderful'"):
        parse_e820("BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] wonderful\n")


def test_e820_out_of_order() -> None:
    lines = [line for line in serial("snp-emulated-6.1-8G").splitlines() if "BIOS-e820" in line]
    with pytest.raises(EvidenceError, match="out of order"):
        parse_e820("\n".join(reversed(lines)))


def test_e820_persistent() -> None:
    (entry,) = parse_e820("BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] persistent (type 7)\n")
    assert entry.kind == "persistent"


@pytest.mark.parametrize(
    ("line", "features"),
    [
        ("[ 1.0] AMD Memory Encryption Features active: SEV SEV-ES", frozenset({"SEV", "SEV-ES"})),
        (
            "[ 1.0] Memory Encryption Features active: AMD SEV SEV-ES SEV-SNP",
            frozenset({"SEV", "SEV-ES", "SEV-SNP"}),
        ),
        ("[ 1.0] Memory Encryption Features active: Intel TDX", frozenset({"Intel", "TDX"})),
    ],
)
def test_sev_features(line: str, features: frozenset[str]) -> None:
    assert sev_features(f"x\n{line}\ny\n") == features


def test_kernel_log() -> None:
    lazy, plain = serial("snp-emulated-6.12-8G"), serial("plain-7.2-8G")
    assert kernel_release(lazy) == "6.12.117+deb13-amd64"
    assert kernel_release("") is None
    assert "SEV: Status: SEV SEV-ES SEV-SNP" in sev_lines(lazy)
    assert sev_features(plain) is None
    assert sev_lines(plain) == ()


def test_guest_document() -> None:
    report = parse_guest(document("snp-emulated-6.12-8G"))
    assert report.kernel.release == "6.12.117+deb13-amd64"
    assert report.schema_version == 1
    assert report.system_ram & HIGH_8G == HIGH_8G
    assert report.firmware_memmap[0].end > report.firmware_memmap[0].start
    figures = memory_figures(report.meminfo_kb)
    assert figures.unaccepted == report.vmstat["nr_unaccepted"] * 4096
    assert memory_figures(parse_guest(document("snp-emulated-6.1-8G")).meminfo_kb).unaccepted is None


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schema": 2}, "schema"),
        ({"meminfo_kb": {"MemTotal": "12 MB"}}, "meminfo_kb.MemTotal"),
        ({"meminfo_kb": {"MemTotal": -1}}, "meminfo_kb.MemTotal"),
        ({"colour": "blue"}, "colour"),
        ({"firmware_memmap": [["0x0", "0x1"]]}, "firmware_memmap.0"),
        ({"firmware_memmap": [["zero", "0x1", "System RAM"]]}, "firmware_memmap.0"),
        ({"efi": {"present": True}}, "efi.runtime"),
    ],
)
def test_guest_document_of_another_shape(change: dict[str, Any], where: str) -> None:
    with pytest.raises(EvidenceError, match=rf"not of schema 1: {where}"):
        parse_guest({**document("plain-7.2-8G"), **change})


def test_meminfo_is_strict_about_units() -> None:
    assert parse_meminfo("MemTotal:  12 kB\nHugePages_Total:       0\nActive(anon): 3 kB\n") == {
        "MemTotal": 12,
        "Active(anon)": 3,
    }
    with pytest.raises(EvidenceError, match="not a line of /proc/meminfo"):
        parse_meminfo("MemTotal:  12 MB\n")
    with pytest.raises(EvidenceError, match="lacks MemFree"):
        memory_figures({"MemTotal": 1})


@pytest.mark.parametrize(
    ("memory", "high_mib"), [(2048, 0), (2815, 0), (2816, 768), (3072, 1024), (8192, 6144)]
)
def test_ram_layout(memory: int, high_mib: int) -> None:
    assert configured_ram(memory).size == memory * MIB
    assert high_ram(memory).size == high_mib * MIB
    assert 0xC000_0000 not in configured_ram(memory)


def test_ram_layout_above_one_terabyte() -> None:
    # 1100G: below 4 GiB 2, the rest behind AMD's HyperTransport range.
    assert high_ram(1100 * 1024).bounds == ((1 << 40, (1 << 40) + 1098 * GIB),)
    assert high_ram(513 * 1024).bounds == ((4 * GIB, 515 * GIB),)
