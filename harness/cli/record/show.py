# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness show``: one record on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.record.stored import add_record, facts_of
from harness.errors import HarnessError
from harness.results.record.told import as_data, as_text, says_how_it_ended

if TYPE_CHECKING:
    import argparse

    from harness.results.record_facts import RecordFacts


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
        print(as_text(facts, "" if says_how_it_ended(facts) else _ended(facts)), end="")


def _ended(facts: RecordFacts) -> str:
    """Return how a boot ended, of which no finding says it: nobody judged it, or it should end so; or ""."""
    # What few records need takes a tenth of a second.
    from harness.checks.ended import headline  # noqa: PLC0415
    from harness.evidence.evidence import Evidence  # noqa: PLC0415
    from harness.run.replay import TRAITS, load_cell, load_traits  # noqa: PLC0415

    try:
        cell, traits = load_cell(facts.path / TRAITS), load_traits(facts.path / TRAITS)
        return headline(Evidence(facts.files, cell, traits)) if cell is not None else ""
    except HarnessError:
        return ""
