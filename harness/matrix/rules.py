# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rules of a scenario: which cells each is about, and where it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.matrix.cell import AXES, BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from harness.documents.document import Document, Loc, Problem
    from harness.matrix.choices import Choice
    from harness.matrix.schema import Scenario, When

Point = tuple[Any, ...]
"""A cell as the file writes it: one value per axis of ``AXES``, the platform not yet resolved."""

Values = Sequence[Mapping[Any, None]]
"""All values of some points, by the number of their axis."""


@dataclass(frozen=True)
class Rule:
    """One entry of exclude, overrides, requires, expect or known-bad.

    ``kind`` and ``number`` say which, ``loc`` is where its conditions are.
    """

    kind: str
    number: int
    when: When | None
    where: str

    @property
    def loc(self) -> Loc:
        return (self.kind, self.number) if self.kind == "exclude" else (self.kind, self.number, "when")

    def __str__(self) -> str:
        """Return such as ``s.yaml:9:5 {kernel: k-1 or k-2}``."""
        if self.when is None:
            return self.where
        said = [
            f"{axis}: {' or '.join(choice.text for choice in choices)}"
            for axis, choices in self.when.conditions().items()
        ]
        return f"{self.where} {{{', '.join(said)}}}"

    def matcher(self, values: Values) -> Callable[[Point], bool]:
        """Return the function that says whether the rule is about a point; ``values`` are all points'."""
        if self.when is None:
            return lambda _point: True
        wanted = [
            (index, frozenset().union(*(choice.accepts(values[index]) for choice in choices)))
            for index, choices in _by_index(self.when)
        ]
        return _all_in(wanted)

    def idle(self, document: Document[Scenario], points: Collection[Point], values: Values) -> list[Problem]:
        """Return why the rule is about none of ``points``; nothing when it is about one."""
        if any(map(self.matcher(values), points)):
            return []
        label = f"{self.kind}[{self.number}]: matches no cell"
        problems = []
        for index, choices in _by_index(self.when) if self.when else ():
            if any(choice.accepts(values[index]) for choice in choices):
                continue
            axis = BY_NAME[AXES[index]]
            wanted = " or ".join(choice.text for choice in choices)
            has = ", ".join(map(axis.show, values[index]))
            message = f"{label}: {axis.name} {wanted} is not in the matrix ({has})"
            problems.append(document.problem_at((*self.loc, axis.name), message))
        return problems or [document.problem_at(self.loc, f"{label}: none has all of this at once")]


def rules(document: Document[Scenario], kind: str) -> list[Rule]:
    """Return the entries of ``exclude``, ``overrides``, ``requires``, ``expect`` or ``known-bad``."""
    entries: Sequence[Any] = getattr(document.model, kind.replace("-", "_"))
    return [
        Rule(kind, number, entry if kind == "exclude" else entry.when, document.where((kind, number)))
        for number, entry in enumerate(entries)
    ]


def values_of(points: Collection[Point]) -> Values:
    """Return the values on each axis, in the order of the points."""
    return [dict.fromkeys(column) for column in zip(*points, strict=True)] or [{} for _ in AXES]


def _all_in(wanted: Sequence[tuple[int, Collection[Any]]]) -> Callable[[Point], bool]:
    """Return the function that says whether a point has one of the wanted values on each of these axes.

    It is called once a rule and a point: a million times for ten thousand cells and a hundred rules.
    """

    def matches(point: Point) -> bool:
        for index, accepted in wanted:  # noqa: SIM110  # all() would make a generator for each call
            if point[index] not in accepted:
                return False
        return True

    return matches


def _by_index(when: When) -> Iterable[tuple[int, Sequence[Choice]]]:
    for axis, choices in when.conditions().items():
        yield AXES.index(axis), choices
