# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness summary``: a run for a job's page, or as annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.results.stored import RUN_HELP, add_base, add_records, comparison_with, stored_run
from harness.results.summary import github_annotations, markdown_summary

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run_", nargs="?", default="last", metavar="RUN", help=f"{RUN_HELP} (default: last)")
    add_base(parser)
    parser.add_argument(
        "--format",
        choices=("markdown", "github"),
        default="markdown",
        help="markdown, or github: workflow commands that mark the scenarios' lines",
    )
    add_records(parser)
    parser.set_defaults(run=_summary)


def _summary(options: argparse.Namespace) -> None:
    run = stored_run(options.run_, options)
    if options.format == "github":
        print(github_annotations(run))
    else:
        print(markdown_summary(run, comparison_with(run, options)))
