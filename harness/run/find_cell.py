# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A CELL of the command line: what every command that takes one makes of its text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.matrix.cell import TABLE, Cell, ShortenedError
from harness.matrix.cell_form import FORM, read_form
from harness.matrix.expand import plan
from harness.matrix.schema import load_scenario
from harness.platforms.choice import USUAL
from harness.run.axis_values import read_value
from harness.run.replay import TRAITS, load_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.run.session import Session


def find_cell(text: str, session: Session) -> Cell:
    """Return the cell that a user means by an id, or by ``firmware=…,kernel=…,memory=…`` (`read_form`).

    In the form, the axes without a usual value must be there, except the platform: it is the usual one, or
    as in a scenario what that falls back to on this host. An id that shows only a part of its cell is looked
    up in the project's scenarios, then in its stored records. HarnessError, with what was meant, for a text
    that is neither, for unknown names, and for an id that is found nowhere.
    """
    if "=" in text:
        return _of_form(text, session)
    known = session.known
    try:
        cell = Cell.parse(
            text, actions=known.action, guests=known.names("guest"), emulations=known.names("emulation")
        )
    except ShortenedError as error:
        return _looked_up(text, error.shown.platform, session)
    except ValueError as error:
        what, _, hint = str(error).partition("; ")
        raise HarnessError(what, hint or f"write an id as `harness plan` shows them, or {FORM}") from None
    for axis in ("firmware", "kernel", "loader", "platform"):
        read_value(axis, getattr(cell, axis), session.ingredients, known)
    return cell


def _of_form(text: str, session: Session) -> Cell:
    written = read_form(text)
    values = {
        axis: read_value(axis, value, session.ingredients, session.known) for axis, value in written.items()
    }
    usual = {axis.name: axis.default for axis in TABLE if axis.default is not None} | {"platform": USUAL}
    if missing := [axis.name for axis in TABLE if axis.name not in values | usual]:
        raise HarnessError(f"{text}: no {', '.join(missing)}", f"write {FORM}")
    whole = usual | values
    whole["platform"] = session.resolve()(whole["platform"])
    return Cell(*(whole[axis.name] for axis in TABLE))


def _looked_up(text: str, platform: str, session: Session) -> Cell:
    """Return the cell of an id that shows only a part of it."""
    for cell in (*_of_scenarios(session), *_of_records(text, session)):
        if (here := replace(cell, platform=platform)).id == text:
            return here
    raise HarnessError(
        f"{text}: no scenario and no stored record has this cell, and its id shows only a part of it",
        f'write {FORM},cmdline="…"',
    )


def _of_scenarios(session: Session) -> Iterator[Cell]:
    """Yield the cells of all scenarios, each on the platform that its file names."""
    for path in sorted(session.project.scenarios.rglob("*.yaml")):
        yield from plan(load_scenario(path, session.known), lambda asked: asked).cells


def _of_records(text: str, session: Session) -> Iterator[Cell]:
    """Yield the cells of stored records of this name, the newest run first."""
    for run in sorted(session.project.out.glob("records/*"), reverse=True):
        if (cell := load_cell(run / text / TRAITS)) is not None:
            yield cell
