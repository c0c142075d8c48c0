# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whether a kernel goes wrong because its vCPU stood still while it measured its clock, or tried its timer.

Linux counts cycles between two ticks of the PIT (``pit_hpet_ptimer_calibrate_cpu`` in
arch/x86/kernel/tsc.c). On a busy host the ticks may come late and all at once; the kernel then takes its
processor for one of 40 MHz, its clock runs many times too fast, and it sees CPUs that are stuck for minutes.

Before that it tries the timer (``timer_irq_works`` in arch/x86/kernel/apic/io_apic.c): five ticks must come
within the cycles that ten to forty of them take, on one of four ways, else it panics. Cycles go on while a
vCPU stands still, ticks do not. The kernel's own time tells such a host from a timer that is not connected:
it counts the ticks that came.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.evidence.record import EndingKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.boot.watch import Seen
    from harness.evidence.record import Ending

MISMEASURED = "clock-mismeasured"
"""The signature of a kernel that says so itself."""
_STUCK = frozenset({"rcu-stall", "soft-lockup", "hung-task"})
_NO_TIMER, _NOT_HEARD = "panic-timer", "timer-not-heard"
_STAMP = re.compile(r"\[ *(\d+\.\d{6})\] ")
_MILLISECONDS = "000"
"""How stamps end that count ticks; those that count cycles end otherwise."""
_ONE_KEPT = 2
"""Times that are as many show one tick, which the local APIC may have kept from before (io_apic.c)."""


def by_clock(seen: Seen, ending: Ending) -> Ending:
    """Return the ending, which is the host's if the kernel went wrong by ticks that the host kept from it."""
    names = [remark.pattern for remark in seen.remarks]
    if seen.death is not None and seen.death.remark.pattern == _NO_TIMER:
        lines = (remark.line for remark in seen.remarks if remark.pattern in {_NO_TIMER, _NOT_HEARD})
        what = "the host was busy while the kernel tried its timer, whose ticks came late"
        return _by_host(ending, what, seen.death.remark.line) if _ticks_came(lines) else ending
    if MISMEASURED not in names:
        return ending
    since = names.index(MISMEASURED)
    stuck = next((remark for remark in seen.remarks[since:] if remark.pattern in _STUCK), None)
    if stuck is None:
        return ending
    what = f"the host was busy while the kernel measured its clock ({seen.remarks[since].line})"
    return _by_host(ending, what, stuck.line)


def _by_host(ending: Ending, what: str, line: str) -> Ending:
    return replace(ending, kind=EndingKind.HOST, detail=f"{what}, so that this says nothing: {line}")


def _ticks_came(lines: Iterable[str]) -> bool:
    """Return whether the kernel's time went on while it waited for ticks, by the stamps of its lines."""
    found = map(_STAMP.match, lines)
    stamps = {each[1] if each is not None else "" for each in found}
    return len(stamps) > _ONE_KEPT and all(each.endswith(_MILLISECONDS) for each in stamps)
