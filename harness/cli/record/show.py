# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness show``: one record on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.record.stored import add_record, facts_of
from harness.results.record.told import as_data, as_text

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_record(parser, "record")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON, for programs; its keys stay")
    how.add_argument("--html", type=Path, metavar="FILE", help="write one page, with pictures, to FILE")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    facts = facts_of(options.record, options)
    if options.html is not None:
        from harness.results.report.pages import record_page  # noqa: PLC0415  # a tenth of a second

        options.html.write_text(record_page(facts.path, facts.checks), encoding="utf-8")
        print(options.html)
    elif options.json:
        print(json.dumps(as_data(facts), indent=1))
    else:
        print(as_text(facts), end="")
