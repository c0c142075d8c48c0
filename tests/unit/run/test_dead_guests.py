# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What checks ask of a guest that died: what the firmware had handed over to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from harness.checks.finding import Check, Needs, Problem
from harness.errors import HarnessError
from harness.matrix.plan import NOTHING_SAID
from harness.run.judge import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.run.cell_run import CellRun

HOLE = "2 MiB at 4 GiB and above were not validated at the handover: [0x180000000-0x1801fffff]"
ABOUT_BOOT = Check("reaches-userspace", "?", lambda _evidence: iter(()))


def wrong(_evidence: Any) -> Iterator[Problem]:
    yield Problem("not-validated", HOLE)


def right(_evidence: Any) -> Iterator[Problem]:
    yield from ()


def run_with(handover: int | None = 7, ledger: Any = None, said: Any = NOTHING_SAID) -> CellRun:
    evidence = SimpleNamespace(ledger=ledger or SimpleNamespace(handover=handover))
    evidence.lives = (evidence,)
    cell = SimpleNamespace(platform="snp-emulated")
    failure = "the guest used an unvalidated page"
    return cast(
        "CellRun",
        SimpleNamespace(
            cell=cell,
            traits=None,
            record=None,
            checks=(ABOUT_BOOT,),
            root_failure=failure,
            said=said,
            evidence=evidence,
        ),
    )


def answer(check: Check, run: CellRun) -> tuple[str, list[str]]:
    found = judge(run, check, first=False)
    return found.state, [finding.what for finding in found.findings]


def test_a_hole_is_named_as_a_whole() -> None:
    assert answer(Check("x", "?", wrong, Needs.HANDOVER), run_with()) == ("failed", [HOLE])


def test_a_dead_guest_proves_nothing_good() -> None:
    assert answer(Check("x", "?", right, Needs.HANDOVER), run_with()) == ("not-asked", [])


def test_what_needs_the_guest_is_not_asked() -> None:
    assert answer(Check("x", "?", wrong, Needs.LEDGER), run_with()) == ("not-asked", [])
    assert answer(Check("x", "?", wrong, Needs.HANDOVER), run_with(handover=None)) == ("not-asked", [])


def test_without_a_ledger_nothing_is_asked() -> None:
    class Damaged:
        @property
        def handover(self) -> int:
            raise HarnessError("damaged")

    assert answer(Check("x", "?", wrong, Needs.HANDOVER), run_with(ledger=Damaged())) == ("not-asked", [])


def test_where_the_death_is_known_its_consequences_are() -> None:
    said = SimpleNamespace(bad=lambda name: name if name == ABOUT_BOOT.name else None)
    assert answer(Check("x", "?", wrong, Needs.HANDOVER), run_with(said=said)) == ("not-asked", [])
