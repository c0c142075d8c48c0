# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Flakes: different answers from equal inputs. A run reports their rate, and never retries them away."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.results.model import BAD
from harness.results.statistics import Rate, rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.results.folder import StoredRun
    from harness.results.model import BootLine, CheckLine, State


@dataclass(frozen=True)
class Repeated:
    """A question to several boots with equal inputs."""

    cell: str
    check: str
    states: tuple[State, ...]
    """By attempt."""

    @property
    def is_flaky(self) -> bool:
        """Whether the answers differ: some are good and some are bad, or bad in several ways."""
        return len(set(self.states)) > 1

    @property
    def failures(self) -> Rate:
        """Return how often it failed."""
        return rate(sum(state in BAD for state in self.states), len(self.states))


def repeated(checks: Iterable[CheckLine]) -> list[Repeated]:
    """Return the questions with more than one attempt, by cell and check; host errors do not count."""
    attempts: dict[tuple[object, ...], list[CheckLine]] = defaultdict(list)
    for line in checks:
        if line.state not in {"host-error", "not-asked"}:
            attempts[*line.key, *sorted(line.inputs.items())].append(line)
    found = []
    for lines in attempts.values():
        if len(lines) > 1:
            lines.sort(key=lambda line: line.attempt)
            found.append(Repeated(lines[0].cell, lines[0].check, tuple(line.state for line in lines)))
    return sorted(found, key=lambda it: (it.cell, it.check))


def failure_rates(checks: Iterable[CheckLine]) -> dict[tuple[str, str, str], Rate]:
    """Return how often each question with several attempts fails, by its key."""
    states: dict[tuple[str, str, str], list[State]] = defaultdict(list)
    for line in checks:
        if line.state not in {"host-error", "not-asked"}:
            states[line.key].append(line.state)
    return {
        key: rate(sum(state in BAD for state in seen), len(seen))
        for key, seen in states.items()
        if len(seen) > 1
    }


def rates_told(run: StoredRun) -> list[str]:
    """Return a line for each repeated cell, how its boots ended, and for each check that was flaky."""
    found = [
        f"{cell}: {'; '.join(f'{ending} in {often}' for ending, often in rates.items())}"
        for cell, rates in endings(run.boots).items()
    ]
    flaky = (it for it in repeated(run.checks) if it.is_flaky)
    return [*found, *(f"flaky: {it.cell}: {it.check} fails in {it.failures}" for it in flaky)]


def endings(boots: Sequence[BootLine]) -> Mapping[str, Mapping[str, Rate]]:
    """Return by cell with several attempts how often each ending came: ``hang: 1 of 50, 95 %: …``."""
    by_cell: dict[str, list[str]] = defaultdict(list)
    for boot in boots:
        by_cell[boot.cell].append(boot.ending)
    return {
        cell: {ending: rate(times, len(seen)) for ending, times in Counter(seen).most_common()}
        for cell, seen in by_cell.items()
        if len(seen) > 1
    }
