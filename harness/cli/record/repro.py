# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness repro``: boot a record's cell again, and say what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.output import add_json
from harness.cli.record.stored import add_record, record_path
from harness.errors import ExitCode
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.record.difference import difference
from harness.results.record_facts import read_facts
from harness.run.axis_options import from_one
from harness.run.options import Options
from harness.run.session import Session
from harness.run.single.boot import SingleBoot, prepare
from harness.run.single.parts import on_this_host
from harness.run.single.stored import QEMU, changes, judge_stored, provide, stored_boot, verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_record(parser, "record")
    parser.add_argument(
        "--times", type=from_one, default=1, metavar="N", help="boot it N times, and say the rate"
    )
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    session = Session(Options(), find_project(Path.cwd()), say)
    stored = stored_boot(record_path(options.record, options), session)
    own = provide(stored, session)
    cell = on_this_host(stored.cell, session)
    before = verdict(stored.record, judge_stored(stored, session)[1])
    prepared = prepare(session, SingleBoot(cell, own))
    if cell != stored.cell:
        say(f"{stored.cell.platform} cannot run here: this is {cell.platform}")
    if QEMU in stored.own:
        say(f"the record is of another QEMU, {stored.own[QEMU]}; HARNESS_QEMU would name it here")
    boots: list[dict[str, Any]] = []
    inputs: Mapping[str, Any] = {}
    for number in range(1, options.times + 1):
        record = prepared.boot(number)
        run, answers = prepared.judged(record, ask=True, attempt=number)
        del run
        now = verdict(record, answers)
        boots.append({"record": str(record.path), "ending": now["ending"], "changes": changes(before, now)})
        if number == 1:
            inputs = difference(read_facts(stored.path), read_facts(record.path)).get("inputs", {})
        if not options.json:
            _tell(number, boots[-1], inputs if number == 1 else {})
    same = sum(not one["changes"] for one in boots)
    code = ExitCode.OK if same == options.times else ExitCode.WRONG
    prepared.finish(code)
    if options.json:
        told = {"record": str(stored.path), "cell": cell.id, "same": same, "boots": boots, "inputs": inputs}
        print(json.dumps(told, indent=1))
    else:
        print(f"{same} of {options.times} boots came out as the record; they are in {session.records}")
    return code


def _tell(number: int, one: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Say what came of a boot; ``inputs`` are those that differ from the record's."""
    print(f"boot {number}: {'differs' if one['changes'] else 'the same'}: {one['ending']}")
    print("".join(f"  {line}\n" for line in one["changes"]), end="")
    print("".join(f"  input {name}: {a} → {b}\n" for name, (a, b) in inputs.items()), end="")
