# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness ledger``: who accepted a page, when, from where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.cli.output import add_json
from harness.cli.record.stored import add_record, facts_of
from harness.errors import HarnessError
from harness.results.record.ledger import page_data, page_lines, summary_data, summary_lines

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_record(parser, "record")
    parser.add_argument(
        "address", nargs="?", metavar="ADDRESS", help="a guest physical address such as 0x12345000; none: all"
    )
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    facts = facts_of(options.record, options)
    if options.address is None:
        data = summary_data(facts)
        lines = summary_lines(data)
    else:
        data = page_data(facts, _address(options.address))
        lines = page_lines(data)
    print(json.dumps(data, indent=1) if options.json else "\n".join(lines))


def _address(text: str) -> int:
    """Return the number that an address is; HarnessError for none."""
    try:
        found = int(text, 0)
    except ValueError:
        found = -1
    if not 0 <= found < 1 << 52:
        raise HarnessError(f"{text}: no guest physical address", "write it as 0x12345000")
    return found
