# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whether the guest's clock runs wrongly because its vCPU stood still while the kernel measured it.

Linux counts cycles between two ticks of the PIT (``pit_hpet_ptimer_calibrate_cpu`` in
arch/x86/kernel/tsc.c). On a busy host the ticks may come late and all at once; the kernel then takes its
processor for one of 40 MHz, its clock runs many times too fast, and it sees CPUs that are stuck for minutes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.evidence.record import EndingKind

if TYPE_CHECKING:
    from harness.boot.watch import Seen
    from harness.evidence.record import Ending

MISMEASURED = "clock-mismeasured"
"""The signature of a kernel that says so itself."""
_STUCK = frozenset({"rcu-stall", "soft-lockup", "hung-task"})


def by_clock(seen: Seen, ending: Ending) -> Ending:
    """Return the ending, which is the host's if the kernel calls CPUs stuck by a clock that runs wrongly."""
    names = [remark.pattern for remark in seen.remarks]
    if MISMEASURED not in names:
        return ending
    since = names.index(MISMEASURED)
    stuck = next((remark for remark in seen.remarks[since:] if remark.pattern in _STUCK), None)
    if stuck is None:
        return ending
    what = f"the host was busy while the kernel measured its clock ({seen.remarks[since].line})"
    return replace(ending, kind=EndingKind.HOST, detail=f"{what}, so that this says nothing: {stuck.line}")
