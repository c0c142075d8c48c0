# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness compare``: what changed between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.results.stored import BASE_HELP, RUN_HELP, add_records, records_of, stored_run
from harness.errors import ExitCode
from harness.results.compare import compare
from harness.results.folder import earlier_runs
from harness.results.show_comparison import FORMATS, show

if TYPE_CHECKING:
    import argparse

_WINDOW = 5
"""Runs before the base that give samples of its measures."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("base", metavar="BASE", help=BASE_HELP)
    parser.add_argument("head", nargs="?", metavar="HEAD", help=f"{RUN_HELP} (default: last)")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    add_records(parser)
    parser.epilog = "exit codes: 0 nothing is worse, 1 something is (a new failure, a cell that is missing)"
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> ExitCode:
    head = stored_run(options.head or "last", options)
    base = stored_run(options.base, options, before=head)
    found = compare(base, head, earlier_runs(base, records_of(options), _WINDOW))
    print(show(found, "json" if options.json else options.format))
    return ExitCode.WRONG if found.is_worse else ExitCode.OK
