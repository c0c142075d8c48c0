# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a user says of a single boot: a cell, and parts of the machine that no axis names."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.boot.cell_machine import OwnParts
from harness.errors import HarnessError
from harness.formats.qcow2 import virtual_size
from harness.machine.spec import Drive
from harness.matrix.cell import TABLE, Cell
from harness.platforms.choice import AUTO, USUAL
from harness.run.axis_values import read_value
from harness.run.find_cell import find_cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.run.session import Session

USUAL_VALUES = MappingProxyType(
    {"firmware": "debian-2025.02", "kernel": "debian-6.12", "loader": "direct", "memory": "4G"}
)
"""What boots by default, on the axes that have no usual value of their own."""
_PREFIX = "file:"
_START = 1 << 10


def chosen_cell(text: str, written: Mapping[str, str], session: Session) -> Cell:
    """Return the cell of a CELL, "" for none, with the values that are written for axes in place of its own.

    The platform is the session's, or what the cell's falls back to on this host. HarnessError for what is not
    there.
    """
    usual = {axis.name: axis.default for axis in TABLE if axis.default is not None} | {"platform": USUAL}
    if text:
        values = dict(zip((axis.name for axis in TABLE), find_cell(text, session).values, strict=True))
    else:
        values = usual | {
            axis: read_value(axis, value, session.ingredients, session.known)
            for axis, value in USUAL_VALUES.items()
            if axis not in written
        }
    for axis, value in written.items():
        values[axis] = read_value(axis, value, session.ingredients, session.known)
    return on_this_host(Cell(*(values[axis.name] for axis in TABLE)), session)


def on_this_host(cell: Cell, session: Session) -> Cell:
    """Return the cell on the session's platform, or on what its own falls back to on this host."""
    choice = session.options.platform
    asked = cell.platform if choice == AUTO else choice
    return replace(cell, platform=session.resolve()(asked))


@dataclass(frozen=True)
class Own:
    """A user's own files, as they are written: ``file:PATH``, of a QEMU the path alone."""

    initrd: str = ""
    disk: str = ""
    qemu: str = ""

    def written(self) -> dict[str, str]:
        """Return what there is by option, for the record; paths are absolute."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        every |= {"qemu": f"{_PREFIX}{self.qemu}"} if self.qemu else {}
        return {name: f"{_PREFIX}{own_file(name, text)}" for name, text in every.items() if text}

    def parts(self) -> OwnParts:
        """Return the parts of the machine; HarnessError for files that are not there."""
        return OwnParts(
            own_file("initrd", self.initrd) if self.initrd else None,
            (_drive(own_file("disk", self.disk)),) if self.disk else (),
        )


def own_file(option: str, text: str) -> Path:
    """Return the file that ``file:PATH`` means; HarnessError for another form, and for none."""
    if not text.startswith(_PREFIX):
        raise HarnessError(f"--{option} {text}: not file:PATH", f"write --{option} {_PREFIX}{text}")
    path = Path(text.removeprefix(_PREFIX)).expanduser().absolute()
    if not path.is_file():
        raise HarnessError(f"--{option} {text}: no such file")
    return path


def _drive(path: Path) -> Drive:
    with path.open("rb") as file:
        is_qcow2 = virtual_size(file.read(_START)) is not None
    return Drive(path=path, format="qcow2" if is_qcow2 else "raw")
