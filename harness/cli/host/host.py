# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness host``: which platforms run here, and where the cache is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import add_json, print_facts
from harness.paths import SHIPPED, cache_dir
from harness.platforms.registry import platforms
from harness.progress import say
from harness.recipes.project import find_project
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness host``."""
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    found = Session(Options(), find_project(Path.cwd()), say).host
    lacking = {name: list(platform.lacking(found)) for name, platform in platforms().items()}
    if options.json:
        shown = {name: {"runs": not reasons, "lacking": reasons} for name, reasons in lacking.items()}
        print_facts({"platforms": shown, "cache": str(cache_dir()), "shipped": str(SHIPPED)}, options)
        return
    for name, reasons in lacking.items():
        print(f"platform {name}: {'; '.join(reasons) or 'runs here'}")
    print(f"cache: {cache_dir()}")
    print(f"shipped recipes and scenarios: {SHIPPED}")
