# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two sides of one axis, booted in turn: which checks and endings differ, which measures. Pure.

A side is one value of an axis, such as a firmware; a pair is a cell on either side, all else being equal.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.results.compare import drifted
from harness.results.model import BAD
from harness.results.statistics import Rate, Spread, rate, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.results.folder import StoredRun
    from harness.results.model import CheckLine

Verdict = Literal["worse", "better", "unclear", "both"]
"""Of B against A: ``unclear`` is a difference that chance explains, ``both`` fails on both sides alike."""
_CHANCE = 0.05
_NO_ANSWER = frozenset({"host-error", "not-asked"})


@dataclass(frozen=True)
class Pair:
    """The ids of a cell on either side."""

    a: str
    b: str

    @property
    def name(self) -> str:
        """What both ids have in common, ``*`` where they differ."""
        parts = list(zip(self.a.split("+"), self.b.split("+"), strict=False))
        return "+".join(one if one == other else "*" for one, other in parts)


@dataclass(frozen=True)
class Question:
    """A check that failed on a side, or an ending that is not the same on both: how often on each.

    ``chance`` is the probability of a difference of this size or more when there is none (Fisher's exact
    test). ``says`` is the first failure's sentence.
    """

    pair: Pair
    name: str
    a: Rate
    b: Rate
    chance: float
    verdict: Verdict
    says: str = ""
    scenario: str = ""


@dataclass(frozen=True)
class Measure:
    """A number of the boots on either side: median and MAD."""

    pair: Pair
    name: str
    a: Spread
    b: Spread
    differs: bool


@dataclass(frozen=True)
class AbPage:
    """All that differs between the sides, and out of how much."""

    run: StoredRun
    axis: str
    a: str
    b: str
    pairs: tuple[Pair, ...]
    times: int
    questions: tuple[Question, ...]
    """Checks that fail on a side, the worst first."""
    endings: tuple[Question, ...]
    measures: tuple[Measure, ...]
    asked: int
    """Checks that both sides answered."""
    notes: tuple[str, ...] = ()

    @property
    def is_worse(self) -> bool:
        """Whether B fails where A does not, beyond chance."""
        return any(it.verdict == "worse" for it in self.questions)


def ab_page(run: StoredRun, axis: str, sides: tuple[str, str], pairs: Sequence[Pair], times: int) -> AbPage:
    """Return what differs between two sides of an axis in a run that booted each pair ``times`` in turn."""
    answers: dict[tuple[str, str, str], list[CheckLine]] = defaultdict(list)
    for line in run.checks:
        if line.state not in _NO_ANSWER:
            answers[line.cell, line.check, line.scenario].append(line)
    questions, asked = [], 0
    for pair in pairs:
        names = [key[1:] for key in answers if key[0] == pair.a]
        names += [key[1:] for key in answers if key[0] == pair.b and key[1:] not in names]
        for check, scenario in names:
            a, b = answers.get((pair.a, check, scenario), []), answers.get((pair.b, check, scenario), [])
            asked += bool(a and b)
            if a and b and any(line.state in BAD for line in (*a, *b)):
                questions.append(_question(pair, check, a, b))
    order = ("worse", "unclear", "better", "both")
    questions.sort(key=lambda it: (order.index(it.verdict), it.pair.name, it.name))
    endings = tuple(it for pair in pairs for it in _endings(run, pair))
    measures = tuple(it for pair in pairs for it in _measures(run, pair))
    notes = tuple(_notes(run, pairs, times))
    return AbPage(run, axis, *sides, tuple(pairs), times, tuple(questions), endings, measures, asked, notes)


def _question(pair: Pair, check: str, a: Sequence[CheckLine], b: Sequence[CheckLine]) -> Question:
    bad = [line for line in (*b, *a) if line.state in BAD]
    first = bad[0]
    says = first.findings[0].says if first.findings else first.reason or first.state
    rates = [rate(sum(line.state in BAD for line in side), len(side)) for side in (a, b)]
    return _judged(pair, check, rates[0], rates[1], says, first.scenario)


def _judged(pair: Pair, name: str, a: Rate, b: Rate, says: str = "", scenario: str = "") -> Question:
    chance = fisher(a.times, a.of, b.times, b.of)
    always = {a.times / a.of, b.times / b.of} == {0.0, 1.0}
    verdict: Verdict = "unclear"
    if a.times * b.of == b.times * a.of:
        verdict = "both"
    elif always or chance < _CHANCE:
        verdict = "worse" if b.times * a.of > a.times * b.of else "better"
    return Question(pair, name, a, b, chance, verdict, says, scenario)


def fisher(bad_a: int, of_a: int, bad_b: int, of_b: int) -> float:
    """Return how probable a split of the bad ones at least as uneven is, when both sides are the same."""
    bad, every = bad_a + bad_b, of_a + of_b

    def ways(on_a: int) -> int:
        return math.comb(of_a, on_a) * math.comb(of_b, bad - on_a)

    seen = ways(bad_a)
    possible = range(max(0, bad - of_b), min(bad, of_a) + 1)
    return sum(way for on_a in possible if (way := ways(on_a)) <= seen) / math.comb(every, bad)


def _endings(run: StoredRun, pair: Pair) -> Iterable[Question]:
    """Yield each ending that one side has more often than the other."""
    seen = [Counter(boot.ending for boot in run.boots if boot.cell == cell) for cell in (pair.a, pair.b)]
    a, b = seen
    if a.total() and b.total():
        for ending in sorted({*a, *b}):
            found = _judged(pair, ending, rate(a[ending], a.total()), rate(b[ending], b.total()))
            if found.verdict != "both":
                yield found


def _measures(run: StoredRun, pair: Pair) -> Iterable[Measure]:
    samples: list[dict[str, list[float]]] = []
    for cell in (pair.a, pair.b):
        side: dict[str, list[float]] = defaultdict(list)
        for boot in run.boots:
            if boot.cell == cell:
                for name, value in boot.measures.items():
                    side[name].append(value)
        samples.append(side)
    for name in sorted(samples[0].keys() & samples[1].keys()):
        a, b = spread(samples[0][name]), spread(samples[1][name])
        yield Measure(pair, name, a, b, differs=drifted(name, a, b) is not None)


def _notes(run: StoredRun, pairs: Sequence[Pair], times: int) -> Iterable[str]:
    made = Counter(boot.cell for boot in run.boots)
    for pair in pairs:
        for cell in (pair.a, pair.b):
            if made[cell] < times:
                yield f"{cell} has {made[cell]} of {times} boots: the others were the host's fault"
