# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness cache prune``."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from harness.cli.output import add_json
from harness.errors import HarnessError
from harness.paths import cache_dir
from harness.results.report.drawing import size_text
from harness.results.retention import parse_age
from harness.store.pruning import prune, unused

if TYPE_CHECKING:
    import argparse

    from harness.store.pruning import Unused

_LEAST = timedelta(days=1)


def add(parser: argparse.ArgumentParser) -> None:
    """Add its verbs."""
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    made = verbs.add_parser(
        "prune",
        help="remove what nobody has used for long",
        description="Remove what nobody has used for long, and nobody uses now; it is made anew when needed.",
    )
    made.add_argument("--unused", default="60d", metavar="AGE", help="for how long (default: 60d)")
    made.add_argument("--dry-run", action="store_true", help="only say what would go")
    add_json(made)
    made.set_defaults(run=_prune)


def _prune(options: argparse.Namespace) -> None:
    age = parse_age(options.unused)
    if age < _LEAST:
        raise HarnessError(
            f"--unused {options.unused}: a run that goes on may have looked up what it needs hours ago",
            "give 1d or more",
        )
    cache = cache_dir()
    found = unused(cache, age.total_seconds())
    gone = found if options.dry_run else [it for it in found if prune(it)]
    if options.json:
        rows = [{"path": str(it.path), "bytes": it.size, "unused-days": _days(it)} for it in gone]
        print(json.dumps(rows, indent=1))
        return
    for it in gone:
        days = _days(it)
        since = "left by a build that was killed" if days is None else f"{days} days"
        print(f"{it.path.relative_to(cache)}: {size_text(it.size)}, {since}")
    verb = "would go" if options.dry_run else "removed"
    print(f"{len(gone)} of {cache} {verb}, {size_text(sum(it.size for it in gone))}")


def _days(found: Unused) -> int | None:
    """Return for how many days nobody has used it; None: a build that was killed has left it."""
    return None if found.path.name.startswith(".") else int(found.age // 86400)
