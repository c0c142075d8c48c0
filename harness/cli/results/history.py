# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness history``: since when something fails, how often, and what was never met."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checks.asked import checks
from harness.cli.output import add_json, print_facts, print_rows
from harness.cli.results.stored import add_records, history_of
from harness.matrix.cell import BY_NAME
from harness.progress import say
from harness.recipes.project import find_project
from harness.run.axis_options import from_one
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    import argparse

    from harness.results.history import History


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "about", nargs="?", default="", metavar="CELL|CHECK|FINDING", help="default: everything that failed"
    )
    parser.add_argument(
        "--runs", type=from_one, default=50, metavar="N", help="in the last N runs (default: 50)"
    )
    parser.add_argument("--all", action="store_true", help="also what never failed")
    parser.add_argument(
        "--never", action="store_true", help="cells, values of axes and checks that the last N runs never met"
    )
    add_records(parser)
    add_json(parser)
    parser.set_defaults(run=_history)


def _history(options: argparse.Namespace) -> None:
    with history_of(options) as history:
        if options.never:
            _never(history, options)
            return
        stories = history.stories(options.about, most=options.runs, every=options.all)
    if not stories:
        what = "no check answered" if options.all else "nothing failed, and --all lists every question"
        say(f"harness: {options.about + ': ' if options.about else ''}in the last {options.runs} runs {what}")
    print_rows(
        [
            {
                "cell": story.cell,
                "check": story.check,
                "last": story.states[-1][1],
                "failing-since": story.failing_since or "-",
                "fails-in": str(story.failures),
                "changes": story.changes,
            }
            for story in stories
        ],
        options,
    )


def _never(history: History, options: argparse.Namespace) -> None:
    """Print what of all that the scenarios name no run has met."""
    session = Session(Options(full=True), find_project(Path.cwd()), say)
    files = sorted(session.project.scenarios.rglob("*.yaml"))
    planned = [it for path in files for it in session.plan(path).planned]
    cells = dict.fromkeys(it.cell.id for it in planned)
    values = dict.fromkeys(
        (name, axis.show(value))
        for it in planned
        for (name, axis), value in zip(BY_NAME.items(), it.point, strict=True)
    )
    found = history.never([*cells], [*values], sorted(checks()), options.runs)
    facts = asdict(found)
    facts["values"] = [f"{name}: {value}" for name, value in found.values]
    print_facts({name: list(told) for name, told in facts.items()}, options)
