# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness pack``: a record as one file that can travel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import add_json
from harness.cli.record.stored import add_record, record_path
from harness.errors import HarnessError
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.redact import Redaction
from harness.results.report.drawing import size_text
from harness.run.options import Options
from harness.run.session import Session
from harness.run.single.capsule import pack_capsule
from harness.run.single.stored import stored_boot
from harness.store.packing import SUFFIX

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_record(parser, "record")
    parser.add_argument("-o", dest="out", type=Path, metavar="FILE", help=f"default: CELL{SUFFIX}, here")
    parser.add_argument(
        "--with-artifacts", action="store_true", help="take along the files that no recipe makes"
    )
    parser.add_argument(
        "--redact", action="store_true", help="without host name, paths of the user and serial numbers"
    )
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    session = Session(Options(), find_project(Path.cwd()), say)
    stored = stored_boot(record_path(options.record, options), session)
    out = (options.out or Path(stored.cell.id + SUFFIX)).absolute()
    if not out.name.endswith(SUFFIX):
        raise HarnessError(
            f"-o {options.out}: a capsule's name ends in {SUFFIX}", f"write {out.name}{SUFFIX}"
        )
    if out.exists():
        raise HarnessError(f"{out} is there already", "name another file with -o")
    if not out.parent.is_dir():
        raise HarnessError(f"-o {options.out}: there is no folder {out.parent}", "make it, or name another")
    redaction = Redaction.of_here() if options.redact else None
    made = pack_capsule(stored, session, out, artifacts=options.with_artifacts, redaction=redaction)
    damaged = [error.what.removeprefix(f"{stored.path}/") for error in stored.record.damaged()]
    if options.json:
        facts = {
            "capsule": str(out),
            "bytes": out.stat().st_size,
            "inside": [{"name": name, "bytes": size} for name, size in made.inside],
            "lacks": list(made.lacks),
            "damaged": damaged,
            "redacted": options.redact,
        }
        print(json.dumps(facts, indent=1))
        return
    for name, size in made.inside:
        print(f"  {size_text(size):>10}  {name}")
    for text in damaged:
        print(f"not as the boot left it: {text}")
    for text in made.lacks:
        print(f"cannot be rebuilt elsewhere: {text}; --with-artifacts takes its file along")
    told = "" if redaction is not None else "; paths and facts of this host are inside, without --redact"
    print(f"{out}: {size_text(out.stat().st_size)}{told}")
