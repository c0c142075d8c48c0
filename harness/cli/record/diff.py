# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness diff``: what differs between two records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.cli.output import add_json
from harness.cli.record.stored import add_record, facts_of
from harness.results.record.difference import as_text, difference

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_record(parser, "a")
    add_record(parser, "b")
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    one, other = (facts_of(text, options) for text in (options.a, options.b))
    found = difference(one, other)
    print(json.dumps(found, indent=1) + "\n" if options.json else as_text(found, one, other), end="")
