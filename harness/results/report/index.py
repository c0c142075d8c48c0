# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the first page of a report shows: counts, the heat map, what changed, and all cells, worst first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.results.folder import deciding
from harness.results.model import BAD, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.results.folder import StoredRun
    from harness.results.model import BootLine, CheckLine, State

_WORST: tuple[State, ...] = (
    "failed",
    "fixed",
    "cannot-judge",
    "host-error",
    "known-bad",
    "passed",
    "not-asked",
)
assert set(_WORST) == set(STATES)
SIGNS: Mapping[str, str] = {
    "failed": "✗",
    "fixed": "!",
    "cannot-judge": "?",
    "host-error": "⚠",
    "known-bad": "≈",
    "passed": "✓",
    "not-asked": "·",
    "lacking": "∅",
}
"""A sign for each state, for those who do not tell the colours apart, and for paper."""


@dataclass(frozen=True)
class CellRow:
    """A cell in the list: ``state`` is the worst of its checks; ``page`` is empty where no page was made.

    ``known_bad`` names the checks that fail as a rule says.
    """

    cell: str
    state: str
    outcome: str
    ending: str
    seconds: float
    bad: tuple[CheckLine, ...]
    counts: Mapping[str, int]
    axes: Mapping[str, str]
    tier: str
    record: str
    attempts: int = 1
    known_bad: str = ""
    page: str = ""

    @property
    def is_bad(self) -> bool:
        return self.state in BAD

    @property
    def root(self) -> CheckLine | None:
        """The check that tells the cause: the first bad one that repeats no other."""
        return next((line for line in self.bad if not line.cause), self.bad[0] if self.bad else None)


@dataclass(frozen=True)
class HeatMap:
    """One platform's outcomes: ``rows`` are firmware, ``columns`` kernel and loader, cells by both."""

    platform: str
    rows: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    cells: Mapping[tuple[str, tuple[str, str]], tuple[CellRow, ...]]

    def at(self, row: str, column: tuple[str, str]) -> tuple[CellRow, ...]:
        """Return the cells of that place, worst first: they differ in memory and what is added."""
        return self.cells.get((row, column), ())


def cell_rows(run: StoredRun) -> list[CellRow]:
    """Return all cells of a run, worst first, then by id."""
    checks: dict[str, list[CheckLine]] = {}
    for line in deciding(run.checks):
        checks.setdefault(line.cell, []).append(line)
    boots: dict[str, list[BootLine]] = {}
    for boot in run.boots:
        boots.setdefault(boot.cell, []).append(boot)
    rows = [cell_row(cell, checks.get(cell, []), boots.get(cell, [])) for cell in {**boots, **checks}]
    booted = {row.cell for row in rows}
    rows += [
        CellRow(line.cell, "lacking", "", line.reason, 0.0, (), {}, {}, "", "")
        for line in {line.cell: line for line in run.lacks}.values()
        if line.cell not in booted
    ]
    order = {state: number for number, state in enumerate((*_WORST, "lacking"))}
    return sorted(rows, key=lambda row: (order[row.state], row.cell))


def cell_row(cell: str, checks: Sequence[CheckLine], boots: Sequence[BootLine]) -> CellRow:
    """Return a cell's row; the last of its boots counts."""
    states = {line.state for line in checks}
    state = next((state for state in _WORST if state in states), "not-asked")
    boot = boots[-1] if boots else None
    expectation = next((line.expectation for line in checks if line.expectation is not None), None)
    return CellRow(
        cell=cell,
        state=state,
        outcome=expectation.outcome if expectation is not None else "",
        ending=boot.ending if boot is not None else "",
        seconds=boot.seconds if boot is not None else 0.0,
        bad=tuple(line for line in checks if line.state in BAD),
        counts=Counter(line.state for line in checks),
        axes=boot.axes if boot is not None else {},
        tier=boot.tier if boot is not None else "",
        record=boot.record if boot is not None else next((line.record for line in checks), ""),
        attempts=len(boots),
        known_bad=", ".join(sorted({line.check for line in checks if line.state == "known-bad"})),
    )


def heat_maps(rows: Sequence[CellRow]) -> list[HeatMap]:
    """Return a heat map for each platform."""
    platforms = dict.fromkeys(row.axes.get("platform", "") for row in rows if row.axes)
    return [_heat_map(platform, rows) for platform in sorted(platforms)]


def _heat_map(platform: str, rows: Sequence[CellRow]) -> HeatMap:
    mine = [row for row in rows if row.axes and row.axes.get("platform", "") == platform]
    places: dict[tuple[str, tuple[str, str]], list[CellRow]] = {}
    for row in mine:
        column = row.axes.get("kernel", ""), row.axes.get("loader", "")
        places.setdefault((row.axes.get("firmware", ""), column), []).append(row)
    return HeatMap(
        platform,
        tuple(sorted({row for row, _ in places})),
        tuple(sorted({column for _, column in places})),
        {place: tuple(found) for place, found in places.items()},
    )


def state_counts(run: StoredRun) -> dict[str, int]:
    """Return how many questions have which state, in the order of ``STATES``, without states of none."""
    counts = Counter(line.state for line in deciding(run.checks))
    return {state: counts[state] for state in STATES if counts[state]}
