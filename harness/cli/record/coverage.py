# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness coverage``: which code of a firmware boots execute, and which none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import add_json
from harness.errors import HarnessError
from harness.evidence.record import BootRecord
from harness.evidence.symbols.covered import covered
from harness.matrix.cell_form import FORM
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.coverage.page import coverage_page
from harness.results.coverage.told import ACCEPTANCE, as_data, as_lcov, as_text, chosen
from harness.run.options import Options
from harness.run.session import Session
from harness.run.single.coverage import Executed, executed_by, of_record
from harness.run.single.parts import chosen_cell
from harness.store.packing import is_there

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from harness.matrix.cell import Cell

_MODULES = ("SecMain", "PlatformPei", "AmdSevDxe", "IoMmuDxe", "DxeCore", "CpuDxe")
"""Modules with code that accepts memory, or that answers #VC."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "what",
        nargs="+",
        metavar="SCENARIO|CELL|RECORD",
        help=f"scenario files, cells ({FORM}), or records that this command has made",
    )
    parser.add_argument("--firmware", metavar="NAME", help="this firmware in the place of the scenarios'")
    parser.add_argument("--full", action="store_true", help="all cells of a scenario, not its usual choice")
    parser.add_argument(
        "--module",
        action="append",
        metavar="NAME",
        help=f"look into this module, may come several times (default: {', '.join(_MODULES)})",
    )
    parser.add_argument(
        "--source",
        metavar="REGEX",
        help="source files to tell of (default: those by which a guest accepts memory)",
    )
    parser.add_argument("--symbols", type=Path, metavar="DIR", help="a folder of .debug files")
    parser.add_argument("--lcov", type=Path, metavar="FILE", help="write lcov's trace file")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page with the sources")
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    pattern = _pattern(options.source)
    axes = {"firmware": (options.firmware,)} if options.firmware else {}
    session = Session(Options(axes=axes, full=options.full), find_project(Path.cwd()), say)
    boots = list(_executed(options, session))
    firmwares = {boot.record.inputs["firmware"].sha256 for boot in boots}
    if len(firmwares) != 1:
        raise HarnessError("the boots are of several firmwares", "choose one with --firmware")
    known = boots[0].files
    names = [name.lower() for name in options.module or _MODULES]
    files = [file for name, file in known.items() if name.partition("_")[0] in names]
    if not files:
        raise HarnessError(f"--module {', '.join(options.module)}: no such module in the firmware")
    sources = chosen(covered((boot.ranges for boot in boots), files).values(), pattern)
    firmware, cells = boots[0].record.cell.partition("+")[0], [boot.record.cell for boot in boots]
    if options.lcov is not None:
        options.lcov.write_text("\n".join((*as_lcov(sources), "")), encoding="utf-8")
        say(f"{options.lcov}: genhtml and editors read it")
    if options.html is not None:
        options.html.write_text(coverage_page(firmware, cells, sources), encoding="utf-8")
        say(f"{options.html}: a page")
    if options.json:
        print(json.dumps(as_data(firmware, cells, sources), indent=1))
    else:
        print("\n".join(as_text(firmware, cells, sources)))


def _pattern(text: str | None) -> re.Pattern[str]:
    """Return which source files count; HarnessError for what is no regular expression."""
    try:
        return ACCEPTANCE if text is None else re.compile(text)
    except re.error as error:
        raise HarnessError(f"--source {text}: no regular expression: {error}") from error


def _executed(options: argparse.Namespace, session: Session) -> Iterator[Executed]:
    cells: list[Cell] = []
    for text in options.what:
        path = Path(text).absolute()
        if is_there(path):
            yield of_record(BootRecord.load(path))
        elif path.is_file():
            cells += [planned.cell for planned in session.select(session.plan(path)) if not planned.lacks]
        else:
            written = {"firmware": options.firmware} if options.firmware else {}
            cells.append(chosen_cell(text, written, session))
    yield from executed_by(dict.fromkeys(cells), session, options.symbols)
