# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A plan as text, Markdown or JSON: its cells, and for each that a rule touched, the rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.matrix.cell import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.matrix.cell import Axis, Cell
    from harness.matrix.plan import Plan, Planned

MARK = "*"


@dataclass(frozen=True)
class Shown:
    """A plan, and the cells of it that a run without ``--full`` takes."""

    plan: Plan
    selected: frozenset[Cell]

    @property
    def marked(self) -> frozenset[Cell]:
        """The cells to mark: none when all or none are selected."""
        return self.selected if len(self.selected) < len(self.plan.planned) else frozenset()


def as_text(shown: Shown) -> str:
    """Show the cells as a table without the axes on which all are the same, then what rules did."""
    table = _table(shown)
    lines = [_head(shown)]
    if table.same:
        lines.append(f"  all cells: {', '.join(table.same)}")
    widths = [max(map(len, column)) for column in zip(*table.rows, strict=True)]
    lines += [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in table.rows
    ]
    lines += [f"  {number}: {note}" for note, number in table.notes.items()]
    for reason, cells in _left_out(shown.plan).items():
        lines += [f"  {count(len(cells), 'cell')} {reason}:", *(f"    {cell}" for cell in cells)]
    return "\n".join(lines)


def as_markdown(shown: Shown) -> str:
    """Show the same as a Markdown section."""
    table = _table(shown)
    lines = [f"## {shown.plan.scenario}", "", _head(shown), ""]
    if table.same:
        lines += [f"All cells: {', '.join(table.same)}", ""]
    if table.rows:
        head, *rows = (
            "| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in table.rows
        )
        lines += [head, "| --- " * len(table.rows[0]) + "|", *rows, ""]
    lines += [f"- {number}: {note}" for note, number in table.notes.items()]
    for reason, cells in _left_out(shown.plan).items():
        lines += ["", f"{count(len(cells), 'cell')} {reason}:", "", *(f"- `{cell}`" for cell in cells)]
    return "\n".join(lines)


def as_json(shown: Shown) -> dict[str, Any]:
    """Return the plan as JSON values; cells carry their axes under the names that scenarios use."""
    plan = shown.plan
    return {
        "scenario": plan.scenario,
        "cells": [
            {
                "id": planned.cell.id,
                **cell_values(planned.cell),
                "selected": planned.cell in shown.selected,
                "included": planned.always,
                "overridden": list(planned.changes),
                "lacks": planned.lacks,
                **asdict(planned.said),
            }
            for planned in plan.planned
        ],
        "removed": [
            {"id": gone.cell.id, **cell_values(gone.cell), "reason": gone.reason} for gone in plan.removed
        ],
    }


def _head(shown: Shown) -> str:
    plan = shown.plan
    parts = [count(len(plan.cells), "cell")]
    if shown.marked:
        parts.append(f"{len(shown.selected)} without --full (marked {MARK})")
    elif shown.selected:
        parts.append("a run takes all of them")
    if plan.selection == "on-request":
        parts.append("only a run with --full, or one that names the file, takes any")
    changed = sum(bool(planned.changes) for planned in plan.planned)
    lacking = sum(bool(planned.lacks) for planned in plan.planned)
    parts += [
        f"{number} {what}" for number, what in ((changed, "overridden"), (lacking, "skipped here")) if number
    ]
    return f"{plan.scenario}: {', '.join([*parts, f'{len(plan.removed)} left out'])}"


def count(number: int, what: str) -> str:
    """Write ``1 cell``, ``2 cells``."""
    return f"{number} {what}{'s' * (number != 1)}"


@dataclass(frozen=True)
class _Table:
    """``same``: what all cells have; ``notes``: what rules say, with the numbers that stand in the table."""

    same: list[str]
    rows: list[list[str]]
    notes: dict[str, int]


def _table(shown: Shown) -> _Table:
    planned = shown.plan.planned
    same, differ = _axes(shown.plan.cells)
    if len(planned) == 1:
        same, differ = [], [axis for axis, _ in same]
    notes: dict[str, int] = {}
    for one in planned:
        for note in _notes(one):
            notes.setdefault(note, len(notes) + 1)
    rows = [[" ", *(axis.name for axis in differ), *(["rules"] if notes else [])]] if planned else []
    for one in planned:
        row = [MARK if one.cell in shown.marked else " ", *_texts(one.cell, differ)]
        if notes:
            row.append(" ".join(str(notes[note]) for note in _notes(one)))
        rows.append(row)
    return _Table([f"{axis.name} {text}" for axis, text in same], rows, notes)


def _axes(cells: Sequence[Cell]) -> tuple[list[tuple[Axis, str]], list[Axis]]:
    """Return the axes on which all cells have one value, less the usual ones, and those where they differ."""
    same, differ = [], []
    columns = zip(*(cell.values for cell in cells), strict=True)
    for axis, column in zip(TABLE, columns, strict=False):
        values = set(column)
        if len(values) > 1:
            differ.append(axis)
        elif values != {axis.default} or axis.name == "loader":
            same.append((axis, axis.show(next(iter(values)))))
    return same, differ


def cell_values(cell: Cell) -> dict[str, Any]:
    """Return a cell's values by axis, as scenarios write them."""
    return {
        axis.name: axis.show(value) if axis.name == "memory" else value
        for axis, value in zip(TABLE, cell.values, strict=True)
    }


def _texts(cell: Cell, axes: Iterable[Axis]) -> list[str]:
    values = cell_values(cell)
    return [str(values[axis.name]) for axis in axes]


def _notes(planned: Planned) -> Iterable[str]:
    """Return what rules did to a cell, or say about it."""
    yield from (f"overridden, {change}" for change in planned.changes)
    if expect := planned.said.expect:
        yield f"expected to be {expect.outcome} by {expect.where}: {expect.reason} ({expect.link})"
    for bad in planned.said.known_bad:
        yield f"{', '.join(bad.checks)} {bad} by {bad.where}"
    if planned.lacks:
        yield f"skipped here, {planned.lacks}"


def _left_out(plan: Plan) -> dict[str, list[str]]:
    """Gather the cells that each rule removed."""
    found: dict[str, list[str]] = {}
    for gone in plan.removed:
        found.setdefault(f"left out, {gone.reason}", []).append(gone.cell.id)
    return found
