# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a test of somebody's own asks of a run: cells by the rules of scenarios, and boots beside theirs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.evidence.evidence import Evidence
from harness.evidence.record import BootRecord
from harness.matrix.cell import TABLE
from harness.matrix.show import cell_values
from harness.matrix.values import plan_values
from harness.platforms.choice import AUTO
from harness.platforms.choice import USUAL as USUAL_PLATFORM
from harness.store.packing import is_there

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.boot.talk import Talk
    from harness.machine.spec import MachineSpec
    from harness.matrix.cell import Cell
    from harness.matrix.plan import Plan
    from harness.run.session import Session

USUAL: Mapping[str, Any] = {
    "firmware": "debian-2025.02",
    "kernel": "debian-6.12",
    "memory": "4G",
    "platform": USUAL_PLATFORM,
} | {axis.name: axis.default for axis in TABLE if axis.default is not None}
"""What a test's cell has on the axes of which nobody says anything."""

_LONGEST_NAME = 160
"""Characters of a folder's name; file systems allow 255, and other names are built on it."""


def plan_of(session: Session, values: Mapping[str, Any], where: str) -> Plan:
    """Return the cells that a test's values (by axis) mean on this host and under the user's options.

    ``where`` is the test, for messages. An axis that is not there has its usual value, the platform that of
    the command line. HarnessError with every mistake.
    """
    choice = session.options.platform
    usual = {**USUAL, **({} if choice == AUTO else {"platform": choice})}
    made = plan_values({**usual, **values}, where, session.known, session.resolve(), session.substitutions)
    return session.on_this_host(made)


def one_value(session: Session, axis: str, values: Mapping[str, Any], where: str) -> Any:
    """Return the only value of an axis that a test's values mean, as a scenario writes it.

    HarnessError when there are several.
    """
    cells = plan_of(session, values, where).cells
    found = list(dict.fromkeys(cell_values(cell)[axis] for cell in cells))
    if len(found) == 1:
        return found[0]
    raise HarnessError(
        f"{where}: {axis}: wanted one value, found {len(found)}: {', '.join(map(str, found)) or 'none'}",
        "name one, or let the test itself ask for the fixture",
    )


def cell_of(session: Session, values: Mapping[str, Any], where: str) -> Cell:
    """Return the cell of one value on each axis; HarnessError when a value is wrong, or means several."""
    made = plan_values({**USUAL, **values}, where, session.known, session.resolve())
    if len(made.cells) == 1:
        return made.cells[0]
    several = [
        f"{axis} {', '.join(map(str, found))}"
        for axis in values
        if len(found := list(dict.fromkeys(cell_values(cell)[axis] for cell in made.cells))) > 1
    ]
    raise HarnessError(f"{where}: wanted one value on each axis, found {'; '.join(several)}")


@dataclass(frozen=True)
class OwnBoot:
    """A boot that a test asked for. It has been queued, and runs beside those of scenarios."""

    cell: Cell
    _record: Callable[[], BootRecord]
    _evidence: Callable[[BootRecord], Evidence]

    @property
    def record(self) -> BootRecord:
        """The boot's record, waited for; HarnessError when there is none, the same each time."""
        return self._record()

    @property
    def evidence(self) -> Evidence:
        """What the record shows, for checks to read."""
        return self._evidence(self.record)


def own_boot(
    session: Session, cell: Cell, name: str, *, spec: MachineSpec | None = None, talk: Talk | None = None
) -> OwnBoot:
    """Queue the boot of a cell: the one that scenarios and other tests share, or a special one.

    It is special when ``spec`` is not the cell's own machine, or when there is a ``talk``; its record's
    folder has the ``name``. In a replay the record is the stored one.
    """

    def evidence(record: BootRecord) -> Evidence:
        return evidence_of(session, cell, record)

    replay = session.options.replay
    if replay is not None:
        folder = replay / (name if is_there(replay / name) else cell.id)
        return OwnBoot(cell, lambda: BootRecord.load(folder), evidence)
    if talk is None and (spec is None or spec == session.boots.spec(cell)):
        run = session.run(cell)
        session.context.source.start([(cell, 1)])
        return OwnBoot(cell, lambda: run.record, evidence)
    future = session.boots.boot(cell, spec, name, talk)
    return OwnBoot(cell, future.result, evidence)


def evidence_of(session: Session, cell: Cell, record: BootRecord) -> Evidence:
    """Return a record's evidence; of the cell's shared boot it is parsed once."""
    run = session.run(cell)
    shared = record.path == session.context.source.folder(cell)
    if shared:
        return run.evidence
    return Evidence(record, cell, session.context.source.traits(cell), session.signatures)


def folder_name(nodeid: str) -> str:
    """Return a folder's name for what belongs to one test alone: readable, and no other test's."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", nodeid).strip("-.")
    if len(name) <= _LONGEST_NAME and name == nodeid:
        return name
    return f"{name[:_LONGEST_NAME].strip('-.')}-{hashlib.sha256(nodeid.encode()).hexdigest()[:6]}"
