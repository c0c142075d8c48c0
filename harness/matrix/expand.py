# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a scenario to its cells: combinations in written order, less exclude, overridden, plus include."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.documents.document import YamlError
from harness.matrix.cell import AXES, TABLE, Cell
from harness.matrix.plan import (
    NOTHING_SAID,
    KnownBad,
    KnownElsewhere,
    Plan,
    Planned,
    Removed,
    Requirement,
    Said,
    StatedOutcome,
)
from harness.matrix.rules import Point, rules, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from harness.documents.document import Document, Problem
    from harness.matrix.schema import KnownBadEntry, Matrix, RequirementEntry, Scenario, StatedOutcomeEntry

_PLATFORM = AXES.index("platform")


@dataclass(frozen=True)
class Substitution:
    """A user's values for an axis in place of the scenario's; cells with one of ``not_for`` are left out."""

    axis: str
    values: tuple[Any, ...]
    not_for: frozenset[Any] = frozenset()


def expand(document: Document[Scenario], resolve: Callable[[str], str]) -> tuple[Cell, ...]:
    """Return the cells of ``plan``."""
    return plan(document, resolve).cells


def plan(
    document: Document[Scenario], resolve: Callable[[str], str], substitutions: Sequence[Substitution] = ()
) -> Plan:
    """Expand a scenario; ``resolve`` says on which platform the cells of one in the file run here.

    The scenario's own rules come before ``substitutions``: a cell with the user's value is there if
    there is one of any value of the scenario. What rules say of cells (expect, known-bad, requires) holds of
    those that result. Raises ``YamlError`` with all of: a value given twice on an axis, a rule that matches
    no cell or changes none, an included cell that is there already, two cells of one name, no cell at all;
    and with the first of: two rules that expect something of one cell, or call one check of it known bad.
    """
    return _Expansion(document, resolve).plan(substitutions)


class _Expansion:
    """One scenario on its way: points and the overrides that made each, what is left out, and problems."""

    def __init__(self, document: Document[Scenario], resolve: Callable[[str], str]) -> None:
        self.document = document
        self.scenario = document.model
        self.problems: list[Problem] = []
        self.points: dict[Point, tuple[str, ...]] = {}
        self.included: set[Point] = set()
        self.gone: list[tuple[Point, str]] = []
        self.written: dict[Point, tuple[Point, ...]] = {}
        """By point: what the scenario has where a user's values are now."""
        self._resolve = resolve
        self._platforms: dict[str, str] = {}

    def plan(self, substitutions: Sequence[Substitution]) -> Plan:
        self._multiply()
        self._exclude()
        self._override()
        self._include()
        if not self.points and not self.problems:
            self._problem(("matrix",), "no cell is left to run", key=True)
        said_rules = [
            rule for kind in ("requires", "expect", "known-bad") for rule in rules(self.document, kind)
        ]
        values = values_of(self.points)
        if self.points:
            for rule in said_rules:
                self.problems += rule.idle(self.document, self.points, values)
        if self.problems:
            raise YamlError(self.problems)
        for substitution in substitutions:
            self._substitute(substitution)
        return self._made()

    def _problem(self, loc: tuple[str | int, ...], message: str, *, key: bool = False) -> None:
        self.problems.append(self.document.problem_at(loc, message, key=key))

    def _multiply(self) -> None:
        matrix = self.scenario.matrix
        if matrix is not None:
            self.points = dict.fromkeys(itertools.product(*self._axes(matrix)), ())
            return
        for kind in ("exclude", "overrides"):
            if getattr(self.scenario, kind):
                self._problem((kind,), f"{kind}: there is no matrix for its rules")

    def _axes(self, matrix: Matrix) -> Iterable[tuple[Any, ...]]:
        """Return the values of every axis; an item that adds none is a problem."""
        for axis in AXES:
            seen: dict[Any, None] = {}
            for number, choice in enumerate(matrix.choices(axis)):
                if seen.keys() >= set(choice.values):
                    message = f"matrix.{axis}[{number}]: {choice.text} is on this axis already"
                    self._problem(("matrix", axis, number), message)
                seen |= dict.fromkeys(choice.values)
            yield tuple(seen)

    def _exclude(self) -> None:
        if not self.points:
            return
        values = values_of(self.points)
        found = rules(self.document, "exclude")
        tests = [(rule.matcher(values), f"excluded by {rule}") for rule in found]
        kept: dict[Point, tuple[str, ...]] = {}
        for point in self.points:
            for matches, reason in tests:
                if matches(point):
                    self.gone.append((point, reason))
                    break
            else:
                kept[point] = ()
        used = {reason for _, reason in self.gone}
        for rule, (_, text) in zip(found, tests, strict=True):
            if text not in used:
                self.problems += rule.idle(self.document, self.points, values)
        self.points = kept

    def _override(self) -> None:
        for rule, override in zip(rules(self.document, "overrides"), self.scenario.overrides, strict=True):
            if not self.points:
                return
            values = values_of(self.points)
            if idle := rule.idle(self.document, self.points, values):
                self.problems += idle
                continue
            matches = rule.matcher(values)
            new = {AXES.index(axis): value for axis, value in override.set.values().items()}
            becomes = {point: _with(point, new) for point in self.points if matches(point)}
            becomes = {point: target for point, target in becomes.items() if target != point}
            if not becomes:
                message = f"overrides[{rule.number}]: changes nothing: the cells have these values already"
                self._problem(("overrides", rule.number, "set"), message)
            stay = self.points.keys() - becomes.keys()
            made: dict[Point, tuple[str, ...]] = {}
            for point, changes in self.points.items():
                target = becomes.get(point, point)
                if target is point:
                    made[point] = changes
                elif target in stay or target in made:
                    self.gone.append((point, f"becomes a cell that is there already by {rule}"))
                else:
                    made[target] = (*changes, f"{_difference(point, target)} by {rule}")
            self.points = made

    def _include(self) -> None:
        for number, entry in enumerate(self.scenario.include):
            point = tuple(getattr(entry, axis) for axis in AXES)
            if point in self.points:
                self._problem(("include", number), f"include[{number}]: this cell is there already")
            self.points[point] = ()
            self.included.add(point)

    def _substitute(self, substitution: Substitution) -> None:
        """Put a user's values in the place of the scenario's."""
        index = AXES.index(substitution.axis)
        made: dict[Point, tuple[str, ...]] = {}
        included: set[Point] = set()
        written: dict[Point, tuple[Point, ...]] = {}
        for value in substitution.values:
            for point, changes in self.points.items():
                if point[index] not in substitution.not_for:
                    target = _with(point, {index: value})
                    made.setdefault(target, changes)
                    written[target] = (*written.get(target, ()), *self.written.get(point, (point,)))
                    if point in self.included:
                        included.add(target)
        reason = f"--{substitution.axis} replaces no such {substitution.axis}"
        self.gone += [(point, reason) for point in self.points if point[index] in substitution.not_for]
        self.points, self.included, self.written = made, included, written

    def _made(self) -> Plan:
        """Return the real platforms; two platforms of the file can be the same one on this host."""
        said = self._said(self.points)
        elsewhere = self._elsewhere(said)
        planned: dict[Cell, Planned] = {}
        removed = [Removed(self._cell(point), reason) for point, reason in self.gone]
        for point, changes in self.points.items():
            cell = self._cell(point)
            if cell in planned:
                asked = point[_PLATFORM]
                reason = f"platform {asked} is {cell.platform} here, which the scenario names already"
                removed.append(Removed(cell, reason))
            else:
                always = point in self.included
                about = said.get(point, NOTHING_SAID)
                if point in elsewhere:
                    about = replace(about, elsewhere=elsewhere[point])
                planned[cell] = Planned(cell, point, about, changes, always)
        self._refuse_same_names(planned)
        begins = self.document.problem_at(("matrix" if self.scenario.matrix else "include",), "", key=True)
        return Plan(
            self.scenario.name,
            tuple(planned.values()),
            tuple(removed),
            self.scenario.selection,
            begins.line,
            self.scenario.repeat,
            self.scenario.tags,
        )

    def _cell(self, point: Point) -> Cell:
        asked = point[_PLATFORM]
        if asked not in self._platforms:
            self._platforms[asked] = self._resolve(asked)
        values = [*point]
        values[_PLATFORM] = self._platforms[asked]
        return Cell(*values)

    def _elsewhere(self, said: Mapping[Point, Said]) -> dict[Point, tuple[KnownElsewhere, ...]]:
        """Gather what the scenario knows to be bad where a user's values are now, and not of those."""
        before = self._said(dict.fromkeys(it for points in self.written.values() for it in points))
        found: dict[Point, tuple[KnownElsewhere, ...]] = {}
        for point, written in self.written.items():
            known = {bad.where for bad in said.get(point, NOTHING_SAID).known_bad}
            of: dict[KnownBad, dict[str, None]] = {}
            for old in written:
                for bad in before.get(old, NOTHING_SAID).known_bad:
                    if bad.where not in known:
                        of.setdefault(bad, {}).update(dict.fromkeys(_replaced(old, point)))
            found[point] = tuple(KnownElsewhere(bad, tuple(names)) for bad, names in of.items())
        return found

    def _said(self, points: Collection[Point]) -> dict[Point, Said]:
        """Gather what the rules say of each point; a point of which none speaks is left out."""
        values = values_of(points)
        said: dict[Point, Said] = {}
        for kind, with_rule in _SAID.items():
            entries: Sequence[Any] = getattr(self.scenario, kind.replace("-", "_"))
            for rule, entry in zip(rules(self.document, kind), entries, strict=True):
                for point in filter(rule.matcher(values), points):
                    before = said.get(point, NOTHING_SAID)
                    if first := _answered(before, kind, entry):
                        message = f"{kind}[{rule.number}]: {first} is about {self._cell(point)}, too"
                        raise self.document.error_at(rule.loc, message)
                    said[point] = with_rule(before, rule.where, entry)
        return said

    def _refuse_same_names(self, cells: Iterable[Cell]) -> None:
        named: dict[str, Cell] = {}
        for cell in cells:
            if (first := named.setdefault(cell.id, cell)) is not cell:
                message = f"two cells have the name {cell.id}: {first!r} and {cell!r}"
                raise self.document.error_at(("matrix",), message, key=True)


def _answered(said: Said, kind: str, entry: Any) -> str:
    """Return where the question that a rule answers of a cell is answered already; "" when it is not."""
    if kind == "expect" and said.expect is not None:
        return said.expect.where
    checks = entry.checks if kind == "known-bad" else ()
    return next((f"{check} of {bad.where}" for check in checks if (bad := said.bad(check))), "")


def _with_requirement(said: Said, where: str, entry: RequirementEntry) -> Said:
    requirement = Requirement(where, entry.platform, entry.memory, entry.cpus)
    return replace(said, requires=(*said.requires, requirement))


def _with_stated_outcome(said: Said, where: str, entry: StatedOutcomeEntry) -> Said:
    stated = StatedOutcome(where, entry.outcome, entry.reason, entry.link)
    return replace(said, expect=stated)


def _with_known_bad(said: Said, where: str, entry: KnownBadEntry) -> Said:
    bad = KnownBad(
        where,
        entry.checks,
        entry.reason,
        entry.link,
        entry.since,
        kind=entry.finding or "",
        values=tuple(entry.values.items()),
        shows=entry.shows or "",
    )
    return replace(said, known_bad=(*said.known_bad, bad))


_SAID: Mapping[str, Callable[[Said, str, Any], Said]] = {
    "requires": _with_requirement,
    "expect": _with_stated_outcome,
    "known-bad": _with_known_bad,
}


def _with(point: Point, new: Mapping[int, Any]) -> Point:
    values = [*point]
    for index, value in new.items():
        values[index] = value
    return tuple(values)


def _replaced(before: Point, after: Point) -> Iterator[str]:
    """Yield the values that are others now, such as ``firmware debian-2025.02``."""
    for axis, old, new in zip(TABLE, before, after, strict=True):
        if old != new:
            yield f"{axis.name} {axis.show(old)}"


def _difference(before: Point, after: Point) -> str:
    changed = [
        f"{axis.name} {axis.show(old)} became {axis.show(new)}"
        for axis, old, new in zip(TABLE, before, after, strict=True)
        if old != new
    ]
    return ", ".join(changed)
