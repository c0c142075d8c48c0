# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The kernel's tracepoints of a guest: text in the form of Linux 6.11 to 6.18, whole and damaged."""

from __future__ import annotations

import pytest

from harness.evidence.host.kernel_trace import parse_kernel_trace
from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet

HEAD = """\
# clock began at 1796030000.000000
# tracer: nop
#
# entries-in-buffer/entries-written: {}   #P:64
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""
EVENTS = """\
       CPU 0/KVM-30509   [003] ..... 3720.561960: kvm_vmgexit_msr_protocol_enter: vcpu 0, ghcb_gpa 0020000000809014
       CPU 0/KVM-30509   [003] ..... 3720.561965: kvm_vmgexit_msr_protocol_enter: vcpu 0, ghcb_gpa 0010000000820014
       CPU 0/KVM-30509   [003] ..... 3720.561970: kvm_vmgexit_msr_protocol_enter: vcpu 0, ghcb_gpa 0000000000809012
       CPU 0/KVM-30509   [003] ..... 3733.602011: kvm_vmgexit_enter: vcpu 0, exit_reason 80000010, exit_info1 0, exit_info2 0
 CPU 1/KVM <-30510   [007] d.h.. 3733.700000: kvm_rmp_fault: vcpu 1 gpa 0000000100200000 pfn 0x1f8200 error_code 0x500000004 rmp_level 2 psmash_ret 0
"""  # noqa: E501


def text(events: str = EVENTS, written: str = "") -> str:
    count = events.count("\n")
    return HEAD.format(written or f"{count}/{count}") + events


def test_pages_requests_and_faults() -> None:
    found = parse_kernel_trace(text())
    assert [(it.start, it.private) for it in found.pages] == [(0x809000, False), (0x820000, True)]
    assert found.pages[0].t == pytest.approx(1796033720.561960)
    assert found.private == IntervalSet.span(0x820000, 0x821000)
    assert (found.lists, found.faults, found.lost) == (1, (0x100200000,), 0)
    assert str(found) == (
        "1 pages to private and 1 to shared, one by one; 1 requests for lists; 1 RMP faults (exact)"
    )


def test_events_that_were_overwritten_make_it_a_lower_bound() -> None:
    found = parse_kernel_trace(text(written="5/25"))
    assert (found.lost, found.strength) == (20, "lower bound")
    assert str(found).endswith("(lower bound; 20 events were overwritten)")


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (
            "# tracefs: Permission denied: /sys/kernel/tracing/instances\n",
            "traced nothing: Permission denied",
        ),
        ("hello\n", ":1: no trace that is known here: 'hello'"),
        (text()[:-9], "its last line is not whole"),
        (text(EVENTS.partition("\n")[2], "5/5"), "4 of its 5 events are there"),
        (text().replace("entries-in-buffer", "entries"), "does not say how many events"),
        (text().replace("exit_reason", "reason"), ":11: no event that is known here"),
        (text().replace("kvm_rmp_fault", "kvm_page_fault"), ":12: no event that is known here"),
        (text().replace("ghcb_gpa 0010", "ghcb_gpa 0040"), ":9: no operation that is known here: 4"),
    ],
)
def test_what_is_cut_or_unknown_is_said(damaged: str, said: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_kernel_trace(damaged)
    assert said in caught.value.what
    assert caught.value.hint
