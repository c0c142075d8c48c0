# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness judge``: the model's questions to stored records, of whatever scenario."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.record.stored import record_path
from harness.errors import ExitCode, HarnessError
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.model import BAD
from harness.run.options import Options
from harness.run.session import Session
from harness.run.single.stored import judge_stored, records_below, stored_boot

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "records_", nargs="+", metavar="RECORD|DIR", help="a record, a run, or any folder of records"
    )
    parser.set_defaults(run=_run, records=None)


def _run(options: argparse.Namespace) -> int:
    session = Session(Options(), find_project(Path.cwd()), say)
    wrong = 0
    for text in options.records_:
        found = list(records_below(Path(text).absolute())) or [record_path(text, options)]
        for path in found:
            wrong += _judge(path, session)
    return ExitCode.WRONG if wrong else ExitCode.OK


def _judge(path: Path, session: Session) -> bool:
    """Print one record's verdict; return whether something is wrong."""
    try:
        _, answers = judge_stored(stored_boot(path, session), session)
    except HarnessError as error:
        print(f"{path.name}: cannot be judged: {error.what}")
        return True
    bad = [answer for answer in answers if answer.state in BAD]
    asked = sum(answer.state != "not-asked" for answer in answers)
    print(f"{path.name}: {asked} checks asked, {len(bad)} of them bad")
    for answer in bad:
        for said in [finding.what for finding in answer.findings] or [answer.reason]:
            print(f"  {answer.check.name}: {answer.state}: {said}")
    return bool(bad)
