# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness unpack``: a record again, of a capsule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    file = options.capsule.absolute()
    folder = (options.out or Path(unpacked_name(file))).absolute()
    for text in unpack_capsule(file, folder):
        print(f"cannot be rebuilt: {text}")
    print(f"{folder}: harness show, judge and repro take it")
