# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness runs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.output import add_json, print_rows
from harness.cli.results.stored import add_records, history_of
from harness.run.axis_options import from_one

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "-n", dest="most", type=from_one, default=20, metavar="N", help="the last N (default: 20)"
    )
    add_records(parser)
    add_json(parser)
    parser.set_defaults(run=_runs)


def _runs(options: argparse.Namespace) -> None:
    with history_of(options) as history:
        rows = history.runs(options.most)
    print_rows(
        [
            {
                "run": row.id,
                "kind": row.kind,
                "exit": "goes on, or was killed" if row.code is None else row.code,
                "cells": row.cells,
                "asked": row.asked,
                "bad": row.bad,
                "harness": row.harness,
            }
            for row in rows
        ],
        options,
    )
