# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the host's kernel saw of a guest's page state changes: KVM's tracepoints (``kernel-trace.log``).

A request for one page, by the GHCB's MSR, names it: exact. A request for a list of pages is counted, for
its pages are in the guest's memory. An RMP fault names the page that the guest used otherwise than it is.
None of them is PVALIDATE: all that they say of acceptance is an upper bound. The forms are those of Linux
6.11 to 6.18 (``arch/x86/kvm/trace.h``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.evidence.problems import EvidenceError
from harness.intervals import IntervalSet
from harness.machine.kernel_trace import ABSENT, MEND, ZERO
from harness.machine.spec import KERNEL_TRACE

if TYPE_CHECKING:
    from harness.evidence.record import BootRecord

Counted = Literal["exact", "lower bound"]

_PAGE = 4096
_LINE = re.compile(r"^ *(?P<task>.+)-\d+ +\[\d+\] \S+ +(?P<t>\d+\.\d+): (?P<event>\w+): (?P<fields>.*)$")
_WRITTEN = re.compile(r"^# entries-in-buffer/entries-written: (?P<there>\d{1,18})/(?P<written>\d{1,18}) ")
_BEGAN = re.compile(rf"{re.escape(ZERO)}([0-9]{{1,12}}\.[0-9]{{1,9}})")
_HEX = "([0-9a-f]+)"
_FORMS = {
    "kvm_vmgexit_enter": re.compile(rf"vcpu \d+, exit_reason {_HEX}, exit_info1 {_HEX}, exit_info2 {_HEX}"),
    "kvm_vmgexit_msr_protocol_enter": re.compile(rf"vcpu \d+, ghcb_gpa {_HEX}"),
    "kvm_rmp_fault": re.compile(
        rf"vcpu \d+ gpa {_HEX} pfn 0x{_HEX} error_code 0x{_HEX} rmp_level -?\d+ psmash_ret -?\d+"
    ),
}
_LIST = 0x80000010
_ONE, _LOW_BITS = 0x014, 0xFFF
_PRIVATE, _SHARED = 1, 2  # operations of a request for one page
_HINT = "look at the host's kernel: its tracepoints must be those of Linux 6.11 to 6.18"


@dataclass(frozen=True)
class PageRequest:
    """One page that the guest asked to be made private or shared. ``t``: seconds since 1970."""

    start: int
    private: bool
    t: float


@dataclass(frozen=True)
class KernelTrace:
    """The kernel's events of a boot. ``lists``: requests for lists of pages; ``lost``: events overwritten.

    ``faults``: addresses of RMP faults, in their order.
    """

    pages: tuple[PageRequest, ...]
    lists: int
    faults: tuple[int, ...]
    lost: int = 0

    @property
    def private(self) -> IntervalSet:
        """Return the pages that the guest wanted private one by one."""
        return IntervalSet.of((it.start, it.start + _PAGE) for it in self.pages if it.private)

    @property
    def strength(self) -> Counted:
        """Return what the counts are worth."""
        return "lower bound" if self.lost else "exact"

    def __str__(self) -> str:
        """Return them as people read them."""
        private = sum(it.private for it in self.pages)
        single = f"{private} pages to private and {len(self.pages) - private} to shared, one by one"
        lost = f"; {self.lost} events were overwritten" if self.lost else ""
        counts = f"{self.lists} requests for lists; {len(self.faults)} RMP faults"
        return f"{single}; {counts} ({self.strength}{lost})"


def read_kernel_trace(record: BootRecord) -> KernelTrace:
    """Return the kernel's events of a stored boot; EvidenceError, with the reason, where there are none."""
    if not record.holds(KERNEL_TRACE):
        raise EvidenceError(
            f"there is no {KERNEL_TRACE}", "the host's kernel traces guests on hardware alone"
        )
    return parse_kernel_trace(record.bytes_of(KERNEL_TRACE).decode(errors="replace"))


def parse_kernel_trace(text: str) -> KernelTrace:
    """Read the file of a boot; EvidenceError for events of another form, and for a text that is cut short."""
    if text.startswith(ABSENT):
        raise EvidenceError(f"the host's kernel traced nothing: {text.removeprefix(ABSENT).strip()}", MEND)
    zero, lines = _begun(text)
    written = next((found for line in lines if (found := _WRITTEN.match(line))), None)
    if written is None:
        raise EvidenceError(f"{KERNEL_TRACE}: it does not say how many events there were", _HINT)
    numbered = [(it, line) for it, line in enumerate(lines, start=2) if line and not line.startswith("#")]
    if len(numbered) != (there := int(written["there"])):
        what = f"{KERNEL_TRACE}: {len(numbered)} of its {there} events are there"
        raise EvidenceError(what, "boot the cell again")
    pages: list[PageRequest] = []
    faults: list[int] = []
    lists = 0
    for number, line in numbered:
        event, first, t = _event(number, line)
        if event == "kvm_rmp_fault":
            faults.append(first)
        elif event == "kvm_vmgexit_enter":
            lists += first == _LIST
        elif first & _LOW_BITS == _ONE:
            pages.append(_page(number, first, zero + t))
    return KernelTrace(tuple(pages), lists, tuple(faults), int(written["written"]) - there)


def _begun(text: str) -> tuple[float, list[str]]:
    """Return when the clock of the events began, in seconds since 1970, and all lines but the first."""
    first, _, rest = text.partition("\n")
    began = _BEGAN.fullmatch(first)
    if began is None:
        raise EvidenceError(f"{KERNEL_TRACE}:1: no trace that is known here: {first[:80]!r}", _HINT)
    lines = rest.split("\n")
    if lines.pop():
        raise EvidenceError(f"{KERNEL_TRACE}: its last line is not whole", "boot the cell again")
    return float(began[1]), lines


def _event(number: int, line: str) -> tuple[str, int, float]:
    """Return an event's name, its first field that is no vCPU, and its time."""
    found = _LINE.match(line)
    form = _FORMS.get(found["event"]) if found is not None else None
    fields = form.fullmatch(found["fields"]) if found is not None and form is not None else None
    if found is None or fields is None:
        raise EvidenceError(f"{KERNEL_TRACE}:{number}: no event that is known here: {line[:80]!r}", _HINT)
    return found["event"], int(fields[1], 16), float(found["t"])


def _page(number: int, value: int, t: float) -> PageRequest:
    """Return a request by the GHCB's MSR: page number from bit 12 on, operation from bit 52 on."""
    operation = value >> 52 & 0xF
    if operation not in {_PRIVATE, _SHARED}:
        raise EvidenceError(f"{KERNEL_TRACE}:{number}: no operation that is known here: {operation}", _HINT)
    return PageRequest(value & 0xF_FFFF_FFFF_F000, operation == _PRIVATE, t)
