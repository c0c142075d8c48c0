# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness unpack``: a record again, of a capsule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import add_json
from harness.run.single.capsule import unpack_capsule
from harness.store.packing import unpacked_name

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("capsule", type=Path, metavar="CAPSULE", help="a file that harness pack made")
    parser.add_argument(
        "-o", dest="out", type=Path, metavar="DIR", help="new folder (default: the capsule's name, here)"
    )
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    file = options.capsule.absolute()
    folder = (options.out or Path(unpacked_name(file))).absolute()
    lacks = list(unpack_capsule(file, folder))
    if options.json:
        print(json.dumps({"record": str(folder), "lacks": lacks}, indent=1))
        return
    for text in lacks:
        print(f"cannot be rebuilt: {text}")
    print(f"{folder}: harness show, judge and repro take it")
