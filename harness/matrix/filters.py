# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which cells a user wants, by whole names: ``--cell kernel=debian-6.1,memory=8G`` or ``--cell ID``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from harness.documents.document import near
from harness.errors import HarnessError
from harness.matrix.cell import AXES, BY_NAME
from harness.matrix.cell_form import read_form
from harness.matrix.choices import Choice, parse_comparisons, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.matrix.cell import Cell
    from harness.matrix.choices import Known
    from harness.matrix.plan import Plan, Planned

_PLATFORM = AXES.index("platform")


@dataclass(frozen=True)
class CellFilter:
    """Ids of cells, and conditions by the number of their axis; a cell needs one of them."""

    ids: frozenset[str]
    conditions: tuple[Mapping[int, Choice], ...]

    def narrow(self, plan: Plan) -> Plan:
        """Return the plan with the wanted cells alone; no selection leaves out one that its id names."""
        wanted = [it for it in plan.planned if it.cell.id in self.ids or self._meets(it.cell, it)]
        removed = [gone for gone in plan.removed if gone.cell.id in self.ids or self._meets(gone.cell)]
        by_id = bool(wanted) and all(it.cell.id in self.ids for it in wanted)
        return replace(
            plan,
            planned=tuple(replace(it, always=it.always or it.cell.id in self.ids) for it in wanted),
            removed=tuple(removed),
            selection="all" if by_id else plan.selection,
        )

    def refuse_unmet(self, plans: Iterable[Plan]) -> None:
        """Raise HarnessError for an id that no cell of these plans has, or one that they exclude."""
        made = tuple(plans)
        there = {it.cell.id for plan in made for it in plan.planned}
        reasons = {gone.cell.id: gone.reason for plan in made for gone in plan.removed}
        for text in sorted(self.ids - there):
            if text in reasons:
                raise HarnessError(f"--cell {text}: {reasons[text]}")
            close = get_close_matches(text, there)
            raise HarnessError(
                f"--cell {text}: no cell of these scenarios has this id",
                near(text, close) if close else "`harness plan` lists the cells of scenarios",
            )

    def _meets(self, cell: Cell, planned: Planned | None = None) -> bool:
        row = [getattr(cell, name) for name in cell.__slots__]
        # On any host, a platform that a scenario asks for means the cells that it became.
        asked = None if planned is None else planned.point[_PLATFORM]
        return any(
            all(
                choice.accepts({row[at], asked} if at == _PLATFORM else {row[at]})
                for at, choice in condition.items()
            )
            for condition in self.conditions
        )


def read_filter(texts: Sequence[str], known: Known) -> CellFilter:
    """Read values of ``--cell``; HarnessError for an unknown axis or name, with what was meant."""
    ids, conditions = [], []
    for text in texts:
        if "=" not in text:
            ids.append(_id(text))
            continue
        condition: dict[int, Choice] = {}
        for axis, value in read_form(text).items():
            try:
                condition[AXES.index(axis)] = _choice(axis, value, known)
            except ValueError as error:
                raise HarnessError(f"--cell {text}: {axis}: {error}") from None
        conditions.append(condition)
    return CellFilter(frozenset(ids), tuple(conditions))


def _id(text: str) -> str:
    file, _, cell = text.rpartition("::")
    if file:
        raise HarnessError(f"--cell {text}: a cell's id has no file", f"pytest '{text}', or --cell {cell}")
    if "+" in text:
        return text
    raise HarnessError(
        f"--cell {text}: neither a cell's id nor AXIS=VALUE",
        "write such as kernel=debian-6.1,memory=8G; the axes are " + ", ".join(AXES),
    )


def _choice(name: str, text: str, known: Known) -> Choice:
    axis = BY_NAME[name]
    if axis.named:
        return select(name, text, known)
    if axis.read is not None:
        comparisons = parse_comparisons(text, axis.read)
        return Choice(text, (), comparisons) if comparisons else Choice(text, (axis.read(text),))
    if name == "platform" and known.platform is not None and text not in known.platform:
        raise ValueError(f"unknown platform {text!r}; {near(text, known.platform)}")
    value: Any = " ".join(text.split())
    return Choice(text, (value,))
