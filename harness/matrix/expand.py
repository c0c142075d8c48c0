# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a scenario to its cells: combinations in written order, minus exclude rules, plus included cells."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.matrix.cell import Cell, format_memory
from harness.matrix.schema import AXES, Exclude, Matrix, Scenario
from harness.yamlfile import Document, Problem, YamlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Point = tuple[Any, ...]
"""A cell as the file writes it: one value per axis of ``AXES``, the platform not yet resolved."""


@dataclass(frozen=True)
class Removed:
    """A cell that will not run, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a scenario asks for on this host."""

    scenario: str
    cells: tuple[Cell, ...]
    removed: tuple[Removed, ...] = ()


def expand(document: Document[Scenario], resolve: Callable[[str], str]) -> tuple[Cell, ...]:
    """Return the cells of ``plan``."""
    return plan(document, resolve).cells


def plan(document: Document[Scenario], resolve: Callable[[str], str]) -> Plan:
    """Expand a scenario; ``resolve`` says what a platform of the file is here (``snp`` → ``snp-emulated``).

    Raises ``YamlError`` with all of: a value given twice on an axis, a rule that matches no cell, an included
    cell that is there already, no cell at all.
    """
    scenario = document.model
    problems: list[Problem] = []
    points: list[Point] = []
    if scenario.matrix is not None:
        axes = _axes(document, scenario.matrix, problems)
        points = list(itertools.product(*axes))
        problems += _idle_rules(document, axes)
    rules = [(_matcher(rule), _rule_text(document, number)) for number, rule in enumerate(scenario.exclude)]
    if rules and scenario.matrix is None:
        problems.append(
            document.problem_at(("exclude",), "exclude: there is no matrix to leave cells out of")
        )

    kept: dict[Point, None] = {}
    excluded: list[tuple[Point, str]] = []
    for point in points:
        reason = next((text for matches, text in rules if matches(point)), None)
        if reason is None:
            kept[point] = None
        else:
            excluded.append((point, reason))
    for number, entry in enumerate(scenario.include):
        point = tuple(getattr(entry, axis) for axis in AXES)
        if point in kept:
            problems.append(
                document.problem_at(("include", number), f"include[{number}]: this cell is there already")
            )
        kept[point] = None
    if not kept and not problems:
        problems.append(document.problem_at(("matrix",), "no cell is left to run", key=True))
    if problems:
        raise YamlError(problems)
    return _resolved(scenario.name, kept, excluded, resolve)


def _axes(document: Document[Scenario], matrix: Matrix, problems: list[Problem]) -> list[tuple[Any, ...]]:
    """List the values of every axis; a repeated value is a problem and counts once."""
    axes = []
    for axis in AXES:
        seen: dict[Any, None] = {}
        for number, value in enumerate(getattr(matrix, axis)):
            if value in seen:
                message = f"matrix.{axis}[{number}]: {_shown(axis, value)} is on this axis already"
                problems.append(document.problem_at(("matrix", axis, number), message))
            seen[value] = None
        axes.append(tuple(seen))
    return axes


def _idle_rules(document: Document[Scenario], axes: Sequence[tuple[Any, ...]]) -> Iterable[Problem]:
    """Rules that match no cell: on some axis none of their values is in the matrix."""
    on_axis = dict(zip(AXES, axes, strict=True))
    for number, rule in enumerate(document.model.exclude):
        for axis, values in rule.conditions().items():
            if not set(values) & set(on_axis[axis]):
                wanted = " or ".join(_shown(axis, value) for value in values)
                has = ", ".join(_shown(axis, value) for value in on_axis[axis])
                message = f"exclude[{number}]: matches no cell: {axis} {wanted} is not in the matrix ({has})"
                yield document.problem_at(("exclude", number, axis), message)


def _matcher(rule: Exclude) -> Callable[[Point], bool]:
    wanted = [(AXES.index(axis), frozenset(values)) for axis, values in rule.conditions().items()]
    return lambda point: all(point[index] in values for index, values in wanted)


def _rule_text(document: Document[Scenario], number: int) -> str:
    conditions = document.model.exclude[number].conditions().items()
    said = [f"{axis}: {' or '.join(_shown(axis, value) for value in values)}" for axis, values in conditions]
    return f"excluded by {document.where(('exclude', number))} {{{', '.join(said)}}}"


def _shown(axis: str, value: Any) -> str:
    if axis == "memory":
        return format_memory(value)
    return repr(value) if axis in {"cmdline", "action"} else str(value)


def _resolved(
    name: str, kept: Iterable[Point], excluded: Iterable[tuple[Point, str]], resolve: Callable[[str], str]
) -> Plan:
    """Name the real platforms; two platforms of the file can be the same one on this host."""
    platforms: dict[str, str] = {}

    def cell(point: Point) -> Cell:
        firmware, kernel, loader, memory, platform, vcpus, cmdline, action = point
        if platform not in platforms:
            platforms[platform] = resolve(platform)
        return Cell(firmware, kernel, loader, memory, platforms[platform], vcpus, cmdline, action)

    cells: dict[Cell, None] = {}
    removed = [Removed(cell(point), reason) for point, reason in excluded]
    for point in kept:
        made = cell(point)
        if made in cells:
            platform = point[AXES.index("platform")]
            removed.append(
                Removed(made, f"platform {platform} is {made.platform} here, which is asked for already")
            )
        cells[made] = None
    return Plan(name, tuple(cells), tuple(removed))


def with_firmware(plan: Plan, firmware: Sequence[str]) -> Plan:
    """Put ``firmware`` in place of what the scenario names.

    The scenario's own rules have been applied before: a cell is asked of the new firmware if it is asked of
    any that the scenario names.
    """
    cells = [replace(cell, firmware=name) for name in firmware for cell in plan.cells]
    return replace(plan, cells=tuple(dict.fromkeys(cells)))


def plan_table(plan: Plan) -> str:
    """Show the cells to run as a table and, below it, those left out with the reason."""
    rows = [
        (
            *(c.firmware, c.kernel, c.loader, format_memory(c.memory_mib), c.platform, str(c.vcpus)),
            *(c.cmdline, c.action),
        )
        for c in plan.cells
    ]
    count = len(plan.cells)
    lines = [f"{plan.scenario}: {count} cell{'s' * (count != 1)}, {len(plan.removed)} left out"]
    if rows:
        widths = [max(map(len, column)) for column in zip(AXES, *rows, strict=True)]
        lines += [
            "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in (AXES, *rows)
        ]
    lines += [f"  left out: {gone.cell.id}: {gone.reason}" for gone in plan.removed]
    return "\n".join(lines)
