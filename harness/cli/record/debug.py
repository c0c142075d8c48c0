# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness debug``: a guest that is stopped, with gdb and the symbols of its firmware."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.modules import firmware_modules
from harness.cli.record.stored import record_path
from harness.errors import ExitCode, HarnessError
from harness.matrix.cell_form import FORM
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.record.find import RECORD_HELP
from harness.run.options import Options
from harness.run.session import Session
from harness.run.single.boot import SingleBoot, prepare
from harness.run.single.debugger import Debugger, check_place
from harness.run.single.parts import Own, chosen_cell, on_this_host
from harness.run.single.stored import provide, stored_boot
from harness.store.packing import is_there

if TYPE_CHECKING:
    import argparse

    from harness.matrix.cell import Cell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "what",
        metavar="CELL|RECORD",
        help=f"a cell's id, or {FORM}; or {RECORD_HELP}, whose cell boots again",
    )
    parser.add_argument(
        "--until",
        default="bds",
        metavar="PLACE",
        help="let it run until a phase, or until a module of a DEBUG firmware is loaded (default: bds)",
    )
    parser.add_argument(
        "--ex",
        action="append",
        default=[],
        metavar="COMMAND",
        help="a command for gdb, which then ends by itself; may come several times",
    )
    parser.add_argument(
        "--symbols",
        type=Path,
        metavar="DIR",
        help="a folder of .debug files, of firmware that the harness has not built",
    )
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="this new folder becomes the boot's record"
    )
    parser.set_defaults(run=_run, records=None)


def _run(options: argparse.Namespace) -> int:
    session = Session(Options(), find_project(Path.cwd()), say)
    if not options.ex and not sys.stdin.isatty():
        raise HarnessError("standard input is no terminal, and gdb has nothing to do", "say what, with --ex")
    cell, own = _chosen(options, session)
    debugger = Debugger(options.until, options.ex, options.symbols, say)
    record = options.record.absolute() if options.record is not None else None
    wanted = SingleBoot(cell, own, record, gdb=True, unlimited=True, attendant=debugger)
    prepared = prepare(session, wanted)
    image = prepared.spec.firmware.read_bytes()
    check_place(options.until, [module.name for module in firmware_modules(image)])
    stored = prepared.boot()
    prepared.judged(stored, ask=False)
    prepared.finish(ExitCode.OK)
    say(f"record: {stored.path}")
    return ExitCode.OK


def _chosen(options: argparse.Namespace, session: Session) -> tuple[Cell, Own]:
    """Return the cell that is named, or that of a record, with the user's own files."""
    try:
        return chosen_cell(options.what, {}, session), Own()
    except HarnessError as no_cell:
        try:
            stored = stored_boot(record_path(options.what, options), session)
        except HarnessError as no_record:
            raise (no_record if is_there(Path(options.what)) else no_cell) from None
        own = provide(stored, session)
        return on_this_host(stored.cell, session), own
