# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness table``: what came out, by firmware, kernel and loader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.results.stored import RUN_HELP, add_records, stored_run
from harness.results.report.pages import page_of
from harness.results.table import FORMATS, show_tables, tables

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run_", nargs="?", default="last", metavar="RUN", help=f"{RUN_HELP} (default: last)")
    parser.add_argument("--format", choices=FORMATS, default="markdown", help="default: markdown")
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument(
        "--link",
        metavar="URL",
        help="where the report of the run is published (harness report --all): links to each cell's page",
    )
    add_records(parser)
    parser.set_defaults(run=_table)


def _table(options: argparse.Namespace) -> None:
    base = options.link.rstrip("/") if options.link else ""
    made = tables(
        stored_run(options.run_, options), lambda row: f"{base}/{page_of(row.cell)}" if base else ""
    )
    print(show_tables(made, "json" if options.json else options.format))
