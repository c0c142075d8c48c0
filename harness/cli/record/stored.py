# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How a RECORD on a command line becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.results.stored import records_of
from harness.results.record.find import RECORD_HELP, find_record
from harness.results.record_facts import read_facts
from harness.store.packing import packed_file

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from harness.results.record_facts import RecordFacts


def add_record(parser: argparse.ArgumentParser, name: str) -> None:
    """Add an argument that is a RECORD, and the option that names the folder of runs."""
    parser.add_argument(name, metavar="RECORD", help=RECORD_HELP)
    parser.set_defaults(records=None)


def record_path(text: str, options: argparse.Namespace) -> Path:
    """Return where the record is that a RECORD names; HarnessError when there is none.

    A capsule of another schema, or a damaged one, is none.
    """
    found = find_record(text, records_of(options))
    if not found.is_dir():
        from harness.run.single.capsule import check_capsule  # noqa: PLC0415  # a tenth of a second

        check_capsule(packed_file(found))
    return found


def facts_of(text: str, options: argparse.Namespace) -> RecordFacts:
    """Return all that the record shows that a RECORD names; HarnessError when there is none."""
    return read_facts(record_path(text, options))
