# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness summary``: a run for a job's page, as annotations, or for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.cli.results.stored import RUN_HELP, add_base, add_records, comparison_with, stored_run
from harness.results.summary import github_annotations, markdown_summary, summary_as_data

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run_", nargs="?", default="last", metavar="RUN", help=f"{RUN_HELP} (default: last)")
    add_base(parser)
    parser.add_argument(
        "--format",
        choices=("markdown", "github", "json"),
        default="markdown",
        help="markdown, github: workflow commands that mark the scenarios' lines, or json: for programs",
    )
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    add_records(parser)
    parser.set_defaults(run=_summary)


def _summary(options: argparse.Namespace) -> None:
    run = stored_run(options.run_, options)
    if options.format == "github":
        print(github_annotations(run))
    elif options.json or options.format == "json":
        print(json.dumps(summary_as_data(run, comparison_with(run, options)), indent=1))
    else:
        print(markdown_summary(run, comparison_with(run, options)))
