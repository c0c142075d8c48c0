# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The acceptance ledger: who made which guest page private and validated, when, in which boot phase.

``docs/reference/ledger.md`` describes the format, ``snp-ledger`` version 2. All questions are answered by
interval arithmetic, so that their cost follows the ledger's lines and never the guest's pages.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec

from harness.evidence.efi_probe import SUCCESS
from harness.intervals import IntervalAccumulator, IntervalSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FORMAT = "snp-ledger"
VERSION = 2

Phase = Literal["launch", "firmware", "firmware-ebs", "loader", "efi-stub", "kernel"]
ExitMark = Literal["call", "return"]
Access = Literal["read", "write", "exec"]
Operation = Literal[
    "launch-private",
    "psc-private",
    "psc-shared",
    "validate",
    "rescind",
    "validate-again",
    "rescind-again",
    "size-mismatch",
    "implicit-private",
    "implicit-shared",
    "rmpadjust",
    "vmsa",
    "ghcb-register",
    "private-mmio",
    "shared-read",
    "host-psc-partial",
    "host-psc-interrupted",
    "host-psc-refused",
    "host-size-mismatch",
    "host-in-use",
    "host-busy",
    "host-ap-late",
    "host-shared",
    "host-remapped",
    "host-unvalidated",
]

Refusal = Literal[
    "unvalidated-access",
    "vmsa-access",
    "ghcb-not-shared",
    "dma-private-read",
    "dma-private-write",
]

Natural = Annotated[int, msgspec.Meta(ge=0)]
FromMinusOne = Annotated[int, msgspec.Meta(ge=-1)]

PHASES: frozenset[str] = frozenset(get_args(Phase))

NOT_ASKED = -1
"""Reason set and code of an end that the guest did not ask for."""

VALIDATING = frozenset({"launch-private", "validate"})
"""Operations after which the pages are private and validated, and were not before."""
LIES = frozenset({"host-shared", "host-remapped", "host-unvalidated"})
"""What the host does behind the guest's back to a page in use."""
HOST_FAILURES = LIES | {"host-psc-refused", "host-in-use"}
"""What a host does that no guest can go on after."""
_LOST_BY = (
    (LIES, "was taken away by the host"),
    (frozenset({"psc-shared", "implicit-shared"}), "was shared before"),
    (frozenset({"rescind"}), "was given back"),
)
_TO_PRIVATE = frozenset({"psc-private", "implicit-private"})
_TO_SHARED = frozenset({"psc-shared", "implicit-shared", "host-shared"})
_NO_LONGER_VALIDATED = frozenset({"rescind", "host-remapped", "host-unvalidated"})


class Event(msgspec.Struct, frozen=True, gc=False, tag="event"):
    """A run of adjacent operations of one kind by the same code.

    ``t`` is nanoseconds since the VM clock's start, at the run's first operation; ``gpa`` and ``size`` are
    bytes; ``count`` operations of ``entry`` bytes each (4096 or 2 MiB) were merged. ``vcpu`` is -1 at launch.
    ``line`` counts from 1.
    """

    t: Natural
    vcpu: FromMinusOne
    op: Operation
    gpa: Natural
    size: Natural
    count: Natural
    entry: Natural
    rip: Natural
    cpl: Natural
    phase: Phase
    line: int = 0

    @property
    def end(self) -> int:
        """The first byte behind the event's pages."""
        return self.gpa + self.size


class Fault(msgspec.Struct, frozen=True, gc=False, tag="fault"):
    """An access that was refused, e.g. ``unvalidated-access`` (#VC 0x404); ``gpa`` in bytes.

    ``vcpu`` is -1 and ``rip`` 0 for a device's.
    """

    t: Natural
    vcpu: FromMinusOne
    op: Refusal
    gpa: Natural
    rip: Natural
    cpl: Natural
    access: Access
    phase: Phase
    line: int = 0


class Termination(msgspec.Struct, frozen=True, gc=False, tag="terminate"):
    """The guest's end, that it asked for (GHCB) with reason ``code_set`` and ``code``, or for what it did.

    ``text`` is the reason in words. Both numbers are ``NOT_ASKED`` when the guest did not ask.
    """

    code_set: FromMinusOne = msgspec.field(name="set")
    code: FromMinusOne
    text: str
    line: int = 0

    @property
    def asked(self) -> bool:
        """Whether the guest itself asked for its end."""
        return self.code_set != NOT_ASKED


class ExitCall(msgspec.Struct, frozen=True, gc=False):
    """A call of ExitBootServices by ``phase``'s code, which goes on at ``rip``.

    ``status`` is the EFI status that it returned; None, as ``returned`` (a line number), when it never did.
    ``t`` is nanoseconds since the VM clock's start; ``line`` is that of the call.
    """

    t: int
    vcpu: int
    map_key: int
    rip: int
    phase: Phase
    line: int = 0
    status: int | None = None
    returned: int | None = None

    @property
    def granted(self) -> bool:
        """Whether the firmware left boot services."""
        return self.status == SUCCESS


@dataclass(frozen=True)
class Cut:
    """The ledger reached its limit (bytes) at ``line``; ``by``: who had filled it, in words, most first."""

    limit: int
    line: int
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class RmpState:
    """Which pages are shared, and which are private and validated, at one moment; all others wait."""

    shared: IntervalSet
    validated: IntervalSet


@dataclass(frozen=True)
class Ledger:
    """A whole ledger.

    ``end`` holds the closing line's counters; None means that QEMU did not end by itself. ``cut`` says where
    the ledger reached its limit: such a ledger has no events here, for what they show is not all there was.
    ``resets`` are the lines at which the guest was launched anew.
    """

    page_size: int
    ram: IntervalSet
    launch: Any
    events: tuple[Event, ...] = ()
    faults: tuple[Fault, ...] = ()
    terminations: tuple[Termination, ...] = ()
    exits: tuple[ExitCall, ...] = ()
    end: Mapping[str, Any] | None = field(default=None, hash=False)
    cut: Cut | None = None
    resets: tuple[int, ...] = ()

    @property
    def lives(self) -> tuple[Ledger, ...]:
        """Return a ledger for each life of the guest, whose memory was all unaccepted again at its beginning.

        The end line's counters are those of all lives.
        """
        bounds = (0, *self.resets, sys.maxsize)
        return tuple(self._between(*life) for life in pairwise(bounds)) if self.resets else (self,)

    def _between(self, after: int, before: int) -> Ledger:
        return replace(
            self,
            events=tuple(it for it in self.events if after < it.line < before),
            faults=tuple(it for it in self.faults if after < it.line < before),
            terminations=tuple(it for it in self.terminations if after < it.line < before),
            exits=tuple(it for it in self.exits if after < it.line < before),
            resets=(),
        )

    @property
    def truncated(self) -> bool:
        """Return whether events are missing."""
        return self.end is None or self.cut is not None

    def select(self, *ops: Operation, phase: Phase | None = None) -> Iterator[Event]:
        """Yield the events of the given operations (all, when none is named), of one phase or of any."""
        return (
            event
            for event in self.events
            if (not ops or event.op in ops) and (phase is None or event.phase == phase)
        )

    def first(self, *ops: Operation, phase: Phase | None = None) -> Event | None:
        """Return the first such event in the order of the ledger."""
        return next(self.select(*ops, phase=phase), None)

    def validated_by(self, *phases: Phase) -> IntervalSet:
        """Return all pages that one of the phases validated at some time, whatever became of them."""
        return covered(event for event in self.events if event.op in VALIDATING and event.phase in phases)

    def before(self, line: int) -> RmpState:
        """Return the state just before the ledger's line of that number."""
        return replay(event for event in self.events if event.line < line)

    def final(self) -> RmpState:
        """Return the state at the ledger's end."""
        return replay(self.events)

    def history(self, page: int, line: int | None = None) -> tuple[Event, ...]:
        """Return what happened to a page, in order, before the ledger's line of that number, or ever."""
        return tuple(it for it in self.events if it.gpa <= page < it.end and (line is None or it.line < line))

    def state_text(self, page: int, line: int | None = None) -> str:
        """Return in words what a page was before the ledger's line of that number, or is at its end.

        The words follow *the page*.
        """
        if page not in self.ram:
            return "is no memory of the guest"
        history = self.history(page, line)
        now, earlier = replay(history), {event.op for event in history}
        if page in now.validated:
            return "is validated"
        if page in now.shared:
            return f"is shared, since ledger line {history[-1].line}"
        for ops, words in _LOST_BY:
            if earlier & ops:
                return f"{words}, and is not validated since"
        return "is private, and nobody validated it" if earlier else "was never accepted"

    @property
    def handover(self) -> int | None:
        """The line at which ExitBootServices was granted: from here on the guest is the loader's."""
        return next((call.returned for call in self.exits if call.granted), None)

    def host_failure(self, line: int | None = None, page: int | None = None) -> Event | None:
        """Return the last failure of the host before a line of the ledger, of a page or of any; else None."""
        found = [
            event
            for event in self.events
            if event.op in HOST_FAILURES
            and (line is None or event.line < line)
            and (page is None or event.gpa <= page < event.end)
        ]
        return found[-1] if found else None

    def pages(self, op: Operation, phase: Phase) -> int:
        """Count the pages (of 4 KiB) that went through ``op`` in ``phase``, each as often as it did."""
        return sum(event.size for event in self.select(op, phase=phase)) // self.page_size

    def validated_twice(self) -> tuple[tuple[Event, IntervalSet], ...]:
        """Return the events that validated pages which already were validated, with those pages.

        Both what QEMU marked (``validate-again``) and what a replay of the ledger shows by itself. A page
        that was made shared or rescinded in between is not validated any more and does not count.
        """
        return tuple(_double_validations(self.events))


def covered(events: Iterable[Event]) -> IntervalSet:
    """Return all pages that the events touch."""
    return IntervalSet.of((event.gpa, event.end) for event in events)


class _Replay:
    """The state while events pass. All RAM starts private and not validated, as KVM's guest_memfd has it."""

    def __init__(self) -> None:
        self.shared = IntervalAccumulator()
        self.validated = IntervalAccumulator()

    def apply(self, event: Event) -> None:
        """Change the state as the RMP changes (AMD APM volume 2, 15.36).

        Making a page private that already is changes nothing: KVM has nothing to convert. A shared page that
        becomes private is not validated.
        """
        if event.op in VALIDATING:
            self.validated.add(event.gpa, event.end)
        elif event.op in _TO_PRIVATE:
            self.shared.remove(event.gpa, event.end)
        elif event.op in _TO_SHARED:
            self.shared.add(event.gpa, event.end)
            self.validated.remove(event.gpa, event.end)
        elif event.op in _NO_LONGER_VALIDATED:
            self.validated.remove(event.gpa, event.end)

    def state(self) -> RmpState:
        return RmpState(self.shared.frozen(), self.validated.frozen())


def replay(events: Iterable[Event]) -> RmpState:
    """Return the state after ``events``, from launch on."""
    now = _Replay()
    for event in events:
        now.apply(event)
    return now.state()


def _double_validations(events: Iterable[Event]) -> Iterator[tuple[Event, IntervalSet]]:
    now = _Replay()
    for event in events:
        if event.op == "validate-again":
            yield event, IntervalSet.span(event.gpa, event.end)
        elif event.op == "validate" and (again := now.validated.overlap(event.gpa, event.end)):
            yield event, again
        now.apply(event)
