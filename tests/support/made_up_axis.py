# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A program that adds an axis, ``colour``, and shows what becomes of a scenario with it.

It does what a developer does in two modules: a field of ``Cell`` and an entry of ``TABLE``, and what the
machine gets of it. No other module may have to know. ``TOUCHED`` are these modules.

    python made_up_axis.py SCENARIO RECORDS

It prints as JSON the plan, QEMU commands, and the cells found by their ids and forms; then pytest judges
the records.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from harness.matrix import cell as cell_module
from harness.matrix.cell import Cell as BaseCell

if TYPE_CHECKING:
    from harness.machine.spec import MachineSpec

TOUCHED = ("harness.matrix.cell", "harness.boot.cell_machine")
COLOURS = ("grey", "blue", "red")
USUAL = COLOURS[0]


@dataclass(frozen=True, slots=True, order=True)
class Cell(BaseCell):
    colour: str = USUAL

    @property
    def id(self) -> str:
        own = BaseCell.id.__get__(self)
        return own if self.colour == USUAL else f"{own}+{self.colour}"

    @classmethod
    def parse(cls, text: str, **names: Any) -> Cell:
        shown, _, colour = text.rpartition("+")
        if colour in COLOURS:
            return replace(cls.parse(shown, **names), colour=colour)
        return cls(*BaseCell.parse(text, **names).values)


def add_axis() -> None:
    """Change the modules; each is imported after what it imports has changed."""
    change: Any = cell_module
    change.Cell = Cell
    colour = change.Axis("colour", Literal[COLOURS], "the colour of the machine", USUAL)
    change.TABLE = (*change.TABLE, colour)
    change.AXES = (*change.AXES, colour.name)
    change.BY_NAME[colour.name] = colour
    change = import_module(TOUCHED[1])
    without = change.machine_spec

    def machine_spec(cell: Any, *arguments: Any) -> MachineSpec:
        spec: MachineSpec = without(cell, *arguments)
        return replace(spec, devices=(f"lamp,colour={cell.colour}",))

    change.machine_spec = machine_spec


def shown(scenario: Path) -> dict[str, Any]:
    """Return the plan as ``harness plan`` shows it, and the command that boots each of its cells."""
    from harness.boot.cell_machine import machine_spec  # noqa: PLC0415
    from harness.cli import entry  # noqa: PLC0415
    from harness.machine.argv import ByHand, argv  # noqa: PLC0415
    from harness.matrix.cell_form import write_form  # noqa: PLC0415
    from harness.platforms.host import Host  # noqa: PLC0415
    from harness.recipes.project import find_project  # noqa: PLC0415
    from harness.run.find_cell import find_cell  # noqa: PLC0415
    from harness.run.options import Options  # noqa: PLC0415
    from harness.run.session import Session  # noqa: PLC0415

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        entry.main(["plan", "--json", str(scenario)])
    session = Session(Options(), find_project(Path.cwd()), print)
    ingredients: Any = SimpleNamespace(
        catalog=session.ingredients.catalog,
        qemu=Path("/qemu"),
        initrd_of=lambda guest: Path("/", guest),
        firmware=lambda _: SimpleNamespace(path=Path("/fd"), traits=SimpleNamespace(kernel_hashes=False)),
        kernel=lambda _: SimpleNamespace(path=Path("/k"), words=None, require=lambda *_: None),
    )
    cells = session.plan(scenario).cells
    commands = {cell.id: argv(machine_spec(cell, ingredients, Host()), ByHand()) for cell in cells}
    found = [find_cell(text, session).id for cell in cells for text in (cell.id, write_form(cell))]
    return {"plan": json.loads(printed.getvalue()), "commands": commands, "found": found}


if __name__ == "__main__":
    add_axis()
    print(json.dumps(shown(Path(sys.argv[1]))), flush=True)
    sys.exit(pytest.main([sys.argv[1], "--replay", sys.argv[2], "-v", "-p", "no:cacheprovider"]))
