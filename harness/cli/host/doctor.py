# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness doctor``: what this host can do, question by question, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import add_json
from harness.platforms.choice import AUTO
from harness.platforms.registry import platform_named
from harness.progress import say
from harness.recipes.project import find_project
from harness.run.axis_options import platform_choice
from harness.run.doctor.tree import as_text, examine
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    import argparse

    from harness.errors import ExitCode


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness doctor``."""
    parser.add_argument(
        "--platform",
        type=platform_choice,
        default=AUTO,
        metavar="NAME",
        help="what this host is for: what that lacks is a failure then, whatever the processor offers",
    )
    parser.add_argument("--no-launch", action="store_true", help="launch no confidential guest")
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> ExitCode:
    session = Session(Options(make=False), find_project(Path.cwd()), say)
    required = None if options.platform == AUTO else platform_named(options.platform)
    found = examine(session, required, launches=not options.no_launch)
    print(found.model_dump_json(by_alias=True, indent=1) if options.json else as_text(found))
    return found.exit_code
