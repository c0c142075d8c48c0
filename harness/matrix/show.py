# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A plan as text, Markdown or JSON: its cells, and for each that a rule touched, the rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.matrix.axes import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.matrix.axes import Axis
    from harness.matrix.cell import Cell
    from harness.matrix.plan import Plan, Planned

MARK = "*"


@dataclass(frozen=True)
class Shown:
    """A plan, and the cells of it that a run without ``--full`` takes."""

    plan: Plan
    selected: frozenset[Cell]

    @property
    def marked(self) -> frozenset[Cell]:
        """The cells to mark: none when all are selected."""
        return self.selected if len(self.selected) < len(self.plan.planned) else frozenset()


def as_text(shown: Shown) -> str:
    """Show the cells as a table without the axes on which all are the same, then what rules did."""
    plan = shown.plan
    lines = [_head(shown)]
    same, differ = _axes(plan.cells)
    if same:
        lines.append("  all cells: " + ", ".join(f"{axis.name} {text}" for axis, text in same))
    rows = [[axis.name for axis in differ], *([*_texts(cell, differ)] for cell in plan.cells)]
    if differ:
        marks = [" ", *(MARK if cell in shown.marked else " " for cell in plan.cells)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += [
            f"{mark} "
            + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for mark, row in zip(marks, rows, strict=True)
        ]
    for heading, cells in _notes(plan):
        lines += [f"  {heading}:", *(f"    {cell}" for cell in cells)]
    return "\n".join(lines)


def as_markdown(shown: Shown) -> str:
    """Show the same as a Markdown section."""
    plan = shown.plan
    _, differ = _axes(plan.cells)
    axes = differ or [axis for axis, _ in _axes(plan.cells)[0]]
    lines = [f"## {plan.scenario}", "", _head(shown), ""]
    if same := [f"{axis.name} `{text}`" for axis, text in _axes(plan.cells)[0]]:
        lines += ["All cells: " + ", ".join(same), ""]
    if plan.cells:
        lines += [_row(["", *(axis.name for axis in axes)]), _row(["---"] * (len(axes) + 1))]
        lines += [_row([MARK if c in shown.marked else "", *_texts(c, axes)]) for c in plan.cells] + [""]
    for heading, cells in _notes(plan):
        lines += [f"{heading}:", "", *(f"- `{cell}`" for cell in cells), ""]
    return "\n".join(lines)


def as_json(shown: Shown) -> dict[str, Any]:
    """Give the plan as JSON values; cells carry their axes under the names that scenarios use."""
    plan = shown.plan
    return {
        "scenario": plan.scenario,
        "cells": [
            {
                "id": planned.cell.id,
                **_values(planned.cell),
                "selected": planned.cell in shown.selected,
                "included": planned.always,
                "overridden": list(planned.changes),
                "lacks": planned.lacks,
                **asdict(planned.said),
            }
            for planned in plan.planned
        ],
        "removed": [
            {"id": gone.cell.id, **_values(gone.cell), "reason": gone.reason} for gone in plan.removed
        ],
    }


def _head(shown: Shown) -> str:
    plan = shown.plan
    parts = [count(len(plan.cells), "cell")]
    if shown.marked:
        parts.append(f"{len(shown.selected)} without --full (marked {MARK})")
    changed = sum(bool(planned.changes) for planned in plan.planned)
    lacking = sum(bool(planned.lacks) for planned in plan.planned)
    parts += [
        f"{number} {what}" for number, what in ((changed, "overridden"), (lacking, "skipped here")) if number
    ]
    return f"{plan.scenario}: {', '.join([*parts, f'{len(plan.removed)} left out'])}"


def count(number: int, what: str) -> str:
    """Write ``1 cell``, ``2 cells``."""
    return f"{number} {what}{'s' * (number != 1)}"


def _axes(cells: Sequence[Cell]) -> tuple[list[tuple[Axis, str]], list[Axis]]:
    """Return the axes on which all cells have one value, less the usual ones, and those where they differ."""
    same, differ = [], []
    columns = zip(*(_row_of(cell) for cell in cells), strict=True)
    for axis, column in zip(TABLE, columns, strict=False):
        values = set(column)
        if len(values) > 1:
            differ.append(axis)
        elif values != {axis.default} or axis.name == "loader":
            same.append((axis, axis.show(next(iter(values)))))
    return same, differ


def _row_of(cell: Cell) -> tuple[Any, ...]:
    return tuple(getattr(cell, name) for name in cell.__slots__)


def _values(cell: Cell) -> dict[str, Any]:
    return {
        axis.name: axis.show(value) if axis.name == "memory" else value
        for axis, value in zip(TABLE, _row_of(cell), strict=True)
    }


def _texts(cell: Cell, axes: Iterable[Axis]) -> list[str]:
    values = _values(cell)
    return [str(values[axis.name]) for axis in axes]


def _notes(plan: Plan) -> list[tuple[str, list[str]]]:
    """Gather the cells that each rule touched, below a heading that names it."""
    notes: dict[str, list[str]] = {}
    for planned in plan.planned:
        for heading in _headings(planned):
            notes.setdefault(heading, []).append(planned.cell.id)
    for gone in plan.removed:
        notes.setdefault(f"left out, {gone.reason}", []).append(gone.cell.id)
    return list(notes.items())


def _headings(planned: Planned) -> Iterable[str]:
    yield from (f"overridden, {change}" for change in planned.changes)
    if expect := planned.said.expect:
        yield f"expected to be {expect.outcome} by {expect.where}: {expect.reason} ({expect.link})"
    for bad in planned.said.known_bad:
        yield f"{', '.join(bad.checks)} {bad} by {bad.where}"
    if planned.lacks:
        yield f"skipped here, {planned.lacks}"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
