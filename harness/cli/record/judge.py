# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness judge``: the model's questions to stored records, of whatever scenario."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.output import add_json
from harness.cli.record.stored import record_path
from harness.errors import ExitCode, HarnessError
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.model import BAD
from harness.run.options import Options
from harness.run.session import Session
from harness.run.single.capsule import check_capsule
from harness.run.single.stored import answers_as_data, judge_stored, records_below, stored_boot
from harness.store.packing import packed_file

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "records_", nargs="+", metavar="RECORD|DIR", help="a record, a run, or any folder of records"
    )
    add_json(parser)
    parser.set_defaults(run=_run, records=None)


def _run(options: argparse.Namespace) -> int:
    session = Session(Options(), find_project(Path.cwd()), say)
    judged: list[dict[str, Any]] = []
    for text in options.records_:
        for path in list(records_below(Path(text).absolute())) or [record_path(text, options)]:
            judged.append(_judged(path, session))
            if not options.json:
                _tell(judged[-1])
    if options.json:
        print(json.dumps(judged, indent=1))
    wrong = any(one["error"] or _bad(one) for one in judged)
    return ExitCode.WRONG if wrong else ExitCode.OK


def _judged(path: Path, session: Session) -> dict[str, Any]:
    """Return one record's verdict for programs; ``error`` says why it cannot be judged, "" where it can."""
    try:
        if not path.is_dir():
            check_capsule(packed_file(path))
        _, answers = judge_stored(stored_boot(path, session), session)
    except HarnessError as error:
        return {"record": str(path), "error": error.what, "checks": []}
    return {"record": str(path), "error": "", "checks": answers_as_data(answers)}


def _bad(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [check for check in one["checks"] if check["state"] in BAD]


def _tell(one: dict[str, Any]) -> None:
    name = Path(one["record"]).name
    if one["error"]:
        print(f"{name}: cannot be judged: {one['error']}")
        return
    asked = sum(check["state"] != "not-asked" for check in one["checks"])
    print(f"{name}: {asked} checks asked, {len(_bad(one))} of them bad")
    for check in _bad(one):
        for said in check["findings"] or [check["reason"]]:
            print(f"  {check['check']}: {check['state']}: {said}")
