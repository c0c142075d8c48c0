# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness leases``: who has which part of this host, what for, and since when."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.cli.output import add_json, print_rows
from harness.errors import HostError
from harness.run.host.leases import SETTING, folder, leases

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness leases``."""
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    place = folder()
    if place is None:
        raise HostError(
            "this host has no place for leases", f"name a folder that all may write to in {SETTING}"
        )
    found = leases(place)
    if options.json:
        print_rows([asdict(lease) for lease in found], options)
        return
    print("\n".join(map(str, found)) or f"nobody boots here (leases are in {place})")
