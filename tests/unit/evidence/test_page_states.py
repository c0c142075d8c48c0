# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QEMU's trace events: lines of a real boot, and what is no trace that is known here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.evidence.host.kernel_trace import parse_kernel_trace
from harness.evidence.host.page_states import PageStates, parse_page_states
from harness.evidence.kernel_log import sev_features
from harness.evidence.problems import EvidenceError
from harness.evidence.signatures.signatures import shipped
from harness.intervals import IntervalSet
from tests.support.data import PROJECT
from tests.support.markdown import page

if TYPE_CHECKING:
    from harness.evidence.signatures.model import Place

LAUNCH = "7@100.500000:kvm_sev_snp_launch_update src 0x7f0 gpa 0xffc00000 len 0x400000 (Normal page)"
REQUEST = "7@101.500000:kvm_hc_map_gpa_range gpa 0x100000000 size 0x1fa00000 attributes 0x11 flags 0x1"
CONVERTED = "7@101.500010:kvm_convert_memory start 0x100000000 size 0x1fa00000 shared_to_private"
FAULT = "7@102.000000:kvm_memory_fault start 0x809000 size 0x1000 flags 0x0"
SHARED = "7@102.000010:kvm_convert_memory start 0x809000 size 0x1000 private_to_shared"
WHOLE = (LAUNCH, REQUEST, CONVERTED, FAULT, SHARED)


def read(*lines: str, end: str = "") -> PageStates:
    return parse_page_states("".join(f"{line}\n" for line in lines) + end, 100.0)


def test_a_whole_trace() -> None:
    states = read(*WHOLE)
    assert not states.cut
    assert [(it.by, it.private, it.entry, it.t) for it in states.changes] == [
        ("launch", True, 0, 0.5),
        ("request", True, 2 << 20, 1.5),
        ("fault", False, 0, 2.0),
    ]
    assert states.changes[1].asked == 253
    assert str(states.changes[2]) == "trace.log line 4: [0x809000-0x809fff] to shared by fault, t=2.000000 s"
    assert states.shared() == IntervalSet.span(0x809000, 0x80A000)
    assert not states.shared(until=2.0)
    assert states.covered("request").size == 0x1FA00000


def test_a_guest_that_was_launched_anew_has_two_lives() -> None:
    first, second = read(*WHOLE, *WHOLE).lives
    assert len(first.changes) == len(second.changes) == 3
    assert second.changes[0].line == 6
    assert len(read(*WHOLE).lives) == 1


def test_lines_without_times_have_none() -> None:
    assert {it.t for it in read(*(line.partition(":")[2] for line in WHOLE)).changes} == {None}


def test_qemu_11_writes_the_time_as_its_messages_have_it() -> None:
    def as_11(line: str) -> str:
        at, _, event = line.partition("@")[2].partition(":")
        return f"1970-01-01T00:01:{float(at) - 60:09.6f}Z {event}"

    assert as_11(LAUNCH).startswith("1970-01-01T00:01:40.500000Z kvm_sev_snp_launch_update src ")
    assert [(it.line, it.t) for it in read(*map(as_11, WHOLE)).changes] == [(1, 0.5), (2, 1.5), (4, 2.0)]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((LAUNCH, "7@1.0:kvm_hc_map_gpa_range gpa 0x0"), "trace.log:2: no event that is known here"),
        ((LAUNCH, "7@1.0:kvm_run_exit cpu_index 0"), "trace.log:2: no event that is known here"),
        ((LAUNCH, "warning: something"), "trace.log:2: no event that is known here"),
        ((REQUEST, CONVERTED), "no page was launched"),
        ((), "no page was launched"),
        ((LAUNCH, REQUEST), "requests and conversions of .* do not agree"),
        ((LAUNCH, CONVERTED), "requests and conversions of .* do not agree"),
        ((LAUNCH, REQUEST, CONVERTED.replace("shared_to_private", "private_to_shared")), "do not agree"),
    ],
)
def test_another_trace_is_not_guessed_at(lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(EvidenceError, match=words):
        read(*lines)


def test_a_trace_that_was_cut_short_says_so() -> None:
    assert read(*WHOLE, end=SHARED[:20]).cut
    cut = read(LAUNCH, REQUEST, end=CONVERTED[:40])
    assert cut.cut
    assert len(cut.changes) == 2


RUN = page(PROJECT / "docs/reference/hardware-run.md")


def block(word: str) -> str:
    (text,) = (fence.text for fence in RUN.fences if word in fence.text)
    return text


def test_the_page_of_a_first_run_is_what_parsers_read() -> None:
    states = parse_page_states(block("kvm_hc_map_gpa_range"), 0.0)
    assert [it.by for it in states.changes] == ["launch"] * 5 + ["fault", "request", "request"]
    assert states.changes[-1].asked == 253
    traced = parse_kernel_trace(block("entries-in-buffer"))
    assert (len(traced.pages), traced.lists, len(traced.faults), traced.strength) == (2, 1, 1, "exact")
    assert sev_features(block("Memory Encryption Features")) == frozenset({"SEV", "SEV-ES", "SEV-SNP"})


def test_the_refusals_on_that_page_are_known() -> None:
    rows = re.findall(r"^\| `(.+)` \| `([a-z0-9-]+)` \|$", RUN.path.read_text(), re.MULTILINE)
    assert len(rows) == 10
    for line, name in rows:
        places: tuple[Place, ...] = ("qemu", "host")
        found = {match.name for place in places if (match := shipped().match(line, place))}
        assert found == {name}, line
