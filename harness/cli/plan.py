# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness plan [FILE…]``: the boots that scenarios ask for on this host."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.checks.asked import checks
from harness.cli.completion import completed
from harness.cli.output import add_json
from harness.errors import ExitCode, HarnessError
from harness.matrix.pairs import selection
from harness.matrix.show import Shown, as_json, as_markdown, as_text
from harness.platforms.choice import AUTO
from harness.progress import say
from harness.recipes.project import find_project
from harness.run.axis_options import PLATFORM_HELP, add_axis_options, axis_options, platform_choice
from harness.run.find_cell import find_cell
from harness.run.keywords import about, also_taken, compiled
from harness.run.options import Options
from harness.run.session import Session
from harness.run.single.boot import command

if TYPE_CHECKING:
    import argparse

    from _pytest.mark.expression import Expression

    from harness.matrix.cell import Cell
    from harness.paths import Project


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness plan``."""
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="scenario files (default: all of the project's)"
    )
    parser.add_argument("-k", dest="keywords", metavar="EXPR", help="only cells that match, as with pytest")
    parser.add_argument("--platform", type=platform_choice, default=AUTO, metavar="NAME", help=PLATFORM_HELP)
    add_axis_options(completed(parser))
    parser.add_argument(
        "--format", choices=("text", "markdown"), default="text", help="text (the default) or markdown"
    )
    parser.add_argument(
        "--command",
        metavar="CELL",
        help="print the command that boots this cell, as a script; with --platform, for its hosts",
    )
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    project = find_project(Path.cwd())
    choice = Options(
        platform=options.platform, axes=axis_options(options), cells=tuple(options.cell), elsewhere=True
    )
    session = Session(choice, project, say)
    if options.command:
        print(command(find_cell(options.command, session), session), end="")
        return ExitCode.OK
    session.check_options()
    words = compiled(options.keywords) if options.keywords else None
    narrowed = words is not None or bool(options.cell)
    shown = []
    whole = {path: session.plan(path) for path in options.files or _all_files(project)}
    session.refuse_unmet(whole.values())
    for path, unnarrowed in whole.items():
        made = session.narrow(unnarrowed)
        if words is not None:
            made = made.only(partial(_is_about, words, path))
        if narrowed and not made.planned and not made.removed:
            continue
        selected = frozenset(planned.cell for planned in selection(made, full=False))
        shown.append(Shown(made, selected))
    if options.json:
        told = msgspec.json.encode([as_json(one) for one in shown])
        print(msgspec.json.format(told, indent=1).decode())  # json's own indenting takes half of the time
    elif shown:
        print("\n\n".join(map({"text": as_text, "markdown": as_markdown}[options.format], shown)))
    for line in also_taken(words, [cell for one in shown for cell in one.plan.cells]):
        say(f"harness: {line}")
    if not shown:
        say(f"harness: no cell of these scenarios matches{_of_checks(words)}")
        return ExitCode.NOTHING
    return ExitCode.OK


def _all_files(project: Project) -> list[Path]:
    found = sorted(project.scenarios.rglob("*.yaml"))
    if not found:
        raise HarnessError(
            f"there is no scenario in {project.scenarios}",
            "name scenario files, or go to a project, whose harness.toml says where they are",
        )
    if project.file is None:
        say(f"harness: no harness.toml in or above {Path.cwd()}: these are the shipped scenarios")
    return found


def _of_checks(words: Expression | None) -> str:
    """Return what to say of words that are checks' names: a plan makes nothing of what says who asks."""
    named = [word for word in sorted(words.idents()) if word in checks()] if words is not None else []
    return f"; {', '.join(named)}: see which cells it asks with `pytest --collect-only -k`" if named else ""


def _is_about(words: Expression, path: Path, cell: Cell) -> bool:
    return about(words, (path.name, cell.id))
