# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a scenario asks for on this host: cells, and what rules say about each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from harness.matrix.cell import AXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.matrix.cell import Cell
    from harness.matrix.choices import Selection
    from harness.matrix.rules import Point


_CANNOT_JUDGE = "cannot-judge"


class FindingLike(Protocol):
    """What a rule looks at in a finding (``harness.checks.finding.Finding``)."""

    @property
    def what(self) -> str:
        """Its sentence."""

    @property
    def kind(self) -> str:
        """Its stable name."""

    @property
    def values(self) -> Mapping[str, str | int | float | bool]:
        """Its numbers and names."""

    @property
    def evidence(self) -> Sequence[str]:
        """The lines that show it."""


@dataclass(frozen=True)
class Requirement:
    """What the host must have, each None for anything; ``where`` is the rule."""

    where: str
    platform: str | None = None
    memory_mib: int | None = None
    cpus: int | None = None


@dataclass(frozen=True)
class StatedOutcome:
    """An outcome in place of the rollout model's."""

    where: str
    outcome: str
    reason: str
    link: str


@dataclass(frozen=True)
class KnownBad:
    """Checks that are known to fail: with a finding of this ``kind``, these ``values`` among its own.

    ``kind`` "" is any but missing evidence, which nobody knows before. ``shows`` are words that its sentence,
    or a line of its evidence, must have, "" for none.
    """

    where: str
    checks: tuple[str, ...]
    reason: str
    link: str
    since: str
    kind: str = ""
    values: tuple[tuple[str, str | int | float | bool], ...] = ()
    shows: str = ""

    def about(self, findings: Iterable[FindingLike]) -> bool:
        """Return whether one of the findings is the one that is known."""
        return any(self._is_about(finding) for finding in findings)

    def _is_about(self, finding: FindingLike) -> bool:
        kinds = {self.kind} if self.kind else {finding.kind} - {_CANNOT_JUDGE}
        return (
            finding.kind in kinds
            and all(finding.values.get(name) == value for name, value in self.values)
            and any(self.shows in line for line in (finding.what, *finding.evidence))
        )

    @property
    def wanted(self) -> str:
        """What the finding must be, in words."""
        values = ", ".join(f"{name} {value}" for name, value in self.values)
        told = [self.kind or "of any kind", *([f"with {values}"] if values else [])]
        return " ".join([*told, *([f"showing {self.shows!r}"] if self.shows else [])])

    def __str__(self) -> str:
        return f"known bad since {self.since}: {self.reason} ({self.link})"


@dataclass(frozen=True)
class KnownElsewhere:
    """A known-bad rule of cells whose values the user has replaced: ``of`` are those, such as a firmware."""

    bad: KnownBad
    of: tuple[str, ...]

    def __str__(self) -> str:
        return f"known in {', '.join(self.of)}, by {self.bad.where}: {self.bad.reason} ({self.bad.link})"


@dataclass(frozen=True)
class Said:
    """What a scenario says about a cell beside its axes.

    ``elsewhere`` says nothing about the cell itself: a user's build is judged by itself.
    """

    requires: tuple[Requirement, ...] = ()
    expect: StatedOutcome | None = None
    known_bad: tuple[KnownBad, ...] = ()
    elsewhere: tuple[KnownElsewhere, ...] = ()

    def bad(self, check: str) -> KnownBad | None:
        """Return why a check is known to fail; None when it should pass."""
        return next((bad for bad in self.known_bad if check in bad.checks), None)

    def known_in(self, check: str, findings: Sequence[FindingLike]) -> str:
        """Return in which replaced value a check's findings are known, and why; "" where in none."""
        about = (it for it in self.elsewhere if check in it.bad.checks and it.bad.about(findings))
        return str(next(about, ""))


NOTHING_SAID = Said()


@dataclass(frozen=True)
class Planned:
    """A cell that a scenario asks for.

    ``point`` is the cell as the file writes it, the same on every host; ``changes`` are the overrides that
    made it; ``always``: no selection leaves it out; ``lacks`` is what the host lacks to run it.
    """

    cell: Cell
    point: Point
    said: Said = NOTHING_SAID
    changes: tuple[str, ...] = ()
    always: bool = False
    lacks: str = ""

    @property
    def platform_asked(self) -> str:
        """The platform that the file names; the cell has the one that it runs on."""
        return str(self.point[AXES.index("platform")])


@dataclass(frozen=True)
class Removed:
    """A cell that will not run, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a scenario asks for on this host; ``selection`` is what it says about runs without ``--full``."""

    scenario: str
    planned: tuple[Planned, ...]
    removed: tuple[Removed, ...] = ()
    selection: Selection = "pairs"
    line: int = 1
    """Of the file, where its matrix (or what it includes) begins."""
    repeat: int = 1
    """Boots of each cell."""
    tags: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells, in their order."""
        return tuple(planned.cell for planned in self.planned)

    def only(self, keep: Callable[[Cell], bool]) -> Plan:
        """Narrow the plan to some cells, without a word about the others."""
        return replace(
            self,
            planned=tuple(planned for planned in self.planned if keep(planned.cell)),
            removed=tuple(gone for gone in self.removed if keep(gone.cell)),
        )

    def without(self, reason: Callable[[Planned], str]) -> Plan:
        """Remove the cells for which ``reason`` gives one."""
        gone = [Removed(planned.cell, text) for planned in self.planned if (text := reason(planned))]
        if not gone:
            return self
        cells = {removed.cell for removed in gone}
        left = tuple(planned for planned in self.planned if planned.cell not in cells)
        return replace(self, planned=left, removed=(*self.removed, *gone))
