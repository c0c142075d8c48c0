# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A CELL as a user writes it."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.formats.json_text import write_json
from harness.matrix.cell import Cell
from harness.matrix.cell_form import write_form
from harness.recipes.project import find_project
from harness.run.find_cell import find_cell
from harness.run.options import Options
from harness.run.replay import TRAITS
from harness.run.session import Session

if TYPE_CHECKING:
    from pathlib import Path

CELL = Cell("debian-2025.02", "debian-6.12", "direct", 2817, "snp-emulated")
LINE = 'console=ttyS0,115200 x="1"'


@pytest.fixture
def session(stand_ins: Any, tmp_path: Path) -> Session:
    assert stand_ins.built == []
    (tmp_path / "harness.toml").write_text('name = "own"\n')
    return Session(Options(), find_project(tmp_path), lambda _line: None)


@pytest.mark.parametrize(
    "cell",
    [
        CELL,
        replace(CELL, vcpus=4, action="cpu-cycle touch:512", guest="debian-trixie"),
        replace(CELL, platform="snp"),
    ],
)
def test_an_id(session: Session, cell: Cell) -> None:
    assert find_cell(cell.id, session) == cell


@pytest.mark.parametrize("cell", [CELL, replace(CELL, vcpus=4, cmdline=LINE, action="touch:fast")])
def test_a_form(session: Session, cell: Cell) -> None:
    assert find_cell(write_form(cell), session) == cell


def test_a_form_without_what_is_usual(session: Session) -> None:
    assert find_cell("firmware=debian-2025.02,kernel=debian-6.12,memory=2817M", session) == CELL


def test_an_id_that_shows_a_part_is_looked_up_in_scenarios(session: Session, tmp_path: Path) -> None:
    cell = replace(CELL, cmdline=LINE)
    with pytest.raises(HarnessError, match="its id shows only a part of it\n  write firmware=NAME"):
        find_cell(cell.id, session)
    path = tmp_path / "scenarios/folder/s.yaml"
    path.parent.mkdir(parents=True)
    text = f"kernel: debian-6.12, memory: 2817M, platform: snp, cmdline: '{LINE}'"
    path.write_text(f"name: s\ndescription: d\ninclude:\n  - {{firmware: debian-2025.02, {text}}}\n")
    assert find_cell(cell.id, session) == cell
    on_hardware = replace(cell, platform="snp")
    assert find_cell(on_hardware.id, session) == on_hardware


def test_an_id_that_shows_a_part_is_looked_up_in_records(session: Session, tmp_path: Path) -> None:
    cell = replace(CELL, action="touch:fast", cmdline=LINE)
    for run, text in (("a", '{"firmware": {}}'), ("b", "{")):
        path = tmp_path / "out/records" / run / cell.id / TRAITS
        path.parent.mkdir(parents=True)
        path.write_text(text)  # older, and damaged
    with pytest.raises(HarnessError, match="no scenario and no stored record has this cell"):
        find_cell(cell.id, session)
    write_json(path, {"cell": asdict(cell)})
    assert find_cell(cell.id, session) == cell


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "debian-6.12",
            "is no cell's id: these begin with FIRMWARE+KERNEL+LOADER+MEMORY+PLATFORM\n  write an id",
        ),
        (CELL.id.replace("2025", "2024"), "unknown firmware 'debian-2024.02'\n  did you mean 'debian-2"),
        (CELL.id.replace("6.12", "6.13"), "unknown kernel 'debian-6.13'\n  did you mean"),
        (CELL.id.replace("direct", "drect"), "loader: unknown loader 'drect'\n  did you mean 'direct'?"),
        (CELL.id.replace("snp-", "snap-"), "platform: unknown platform 'snap-emulated'\n  did you mean"),
        (f"{CELL.id}+tuch-4", "unknown action, guest or emulation 'tuch-4'\n  did you mean"),
        (
            "firmware=debian-2025.02,kernel=debian-6.12",
            "no memory\n  write firmware=NAME,kernel=NAME,memory=SIZE",
        ),
        ("memory=8", "memory: the memory size 8 has no unit\n  write 8M or 8G"),
        ("vcpus=x", "vcpus: wanted a whole number, found 'x'"),
        ("vcpus=0", "vcpus: wanted 1 or more, found '0'"),
        ("vcpus=-1", "vcpus: wanted 1 or more, found '-1'"),
        ("vcpus=5000", "vcpus: wanted 4096 or less, found '5000'"),
        ("vcpus=1.5", "vcpus: wanted a whole number, found '1.5'"),
        ("action=tuch:1", "action: unknown action 'tuch'\n  did you mean 'touch'?"),
        ("guest=debian", "guest: unknown guest 'debian'\n  did you mean"),
        ("kernal=x", "kernal=x: unknown axis 'kernal'\n  did you mean 'kernel'?"),
    ],
)
def test_what_is_no_cell(session: Session, text: str, said: str) -> None:
    with pytest.raises(HarnessError, match=re.escape(said)):
        find_cell(text, session)
