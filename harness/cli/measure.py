# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness measure``: the launch digest of a cell's guest, and why another one differs."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.boot.cell_machine import machine_spec
from harness.cli.output import add_json, print_rows
from harness.errors import ExitCode, HarnessError
from harness.matrix.cell_form import FORM
from harness.progress import say
from harness.recipes.project import find_project
from harness.run.find_cell import find_cell
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness measure``."""
    parser.add_argument("cell", metavar="CELL", help=f"a cell's id, or {FORM}")
    parser.add_argument(
        "--against",
        default="",
        metavar="DIGEST",
        help="another digest, such as a report's measurement: say in which parts its guest differs",
    )
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Print the parts and the digest; the exit code says whether it is the other one, too."""
    # the package that these need is for this command alone
    from harness.platforms.sev.launch_digest import differences, launch_of, launch_parts  # noqa: PLC0415

    against = options.against.lower()
    if against and re.fullmatch("[0-9a-f]{96}", against) is None:
        raise HarnessError(f"--against {options.against}: not a launch digest", "write its 96 hex digits")
    session = Session(Options(), find_project(Path.cwd()), say)
    cell = find_cell(options.cell, session)
    launch = launch_of(machine_spec(cell, session.ingredients, session.host))
    parts = launch_parts(launch)
    digest = parts[-1].digest
    told = differences(launch, against) if against not in {"", digest} else ()
    if options.json:
        found = {"cell": cell.id, "digest": digest, "parts": [asdict(part) for part in parts]}
        print(json.dumps(found | {"differences": told}, indent=1))
    else:
        rows = [
            {
                "part": part.name,
                "at": "" if part.gpa is None else f"{part.gpa:#x}",
                "pages": part.pages,
                "digest": part.digest[:16],
            }
            for part in parts
        ]
        print_rows(rows, options)
        print(digest)
        print("".join(f"{against[:16]}: {line}\n" for line in told), end="")
    return ExitCode.WRONG if told else ExitCode.OK
