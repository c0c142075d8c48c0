# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness records prune|pack|unpack``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.cli.output import add_json
from harness.cli.results.stored import RUN_HELP, add_records, records_of, stored_run
from harness.errors import HarnessError
from harness.results.folder import goes_on
from harness.results.report.drawing import size_text
from harness.results.retention import (
    old_runs,
    pack_records,
    parse_age,
    record_folders,
    remove,
    unpack_record,
)
from harness.store.file_tree import size_on_disk
from harness.store.packing import SUFFIX

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its verbs."""
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    prune = verbs.add_parser("prune", help="remove old runs", description="Remove old runs.")
    prune.add_argument("--keep", default="14d", metavar="AGE", help="of runs without failures (default: 14d)")
    prune.add_argument("--keep-failures", default="90d", metavar="AGE", help="of the others (default: 90d)")
    prune.add_argument("--dry-run", action="store_true", help="only say what would go")
    add_records(prune)
    add_json(prune)
    prune.set_defaults(run=_prune)
    pack = verbs.add_parser(
        "pack", help="make the records of a run small", description="Put each record of a run in one file."
    )
    pack.add_argument("run_", metavar="RUN", help=RUN_HELP)
    add_records(pack)
    add_json(pack)
    pack.set_defaults(run=_pack)
    unpack = verbs.add_parser(
        "unpack", help="make folders of packed records", description="Make folders of a run's packed records."
    )
    unpack.add_argument("run_", metavar="RUN", help=RUN_HELP)
    add_records(unpack)
    add_json(unpack)
    unpack.set_defaults(run=_unpack)


def _prune(options: argparse.Namespace) -> None:
    keep, keep_failures = parse_age(options.keep), parse_age(options.keep_failures)
    found = old_runs(records_of(options), datetime.now(UTC), keep=keep, keep_failures=keep_failures)
    if not options.dry_run:
        remove(found)
    if options.json:
        rows = [{"run": str(it.path), "bytes": it.size, "why": it.why} for it in found]
        print(json.dumps(rows, indent=1))
        return
    for removal in found:
        print(f"{removal.path}: {size_text(removal.size)}, {removal.why}")
    verb = "would go" if options.dry_run else "removed"
    print(f"{len(found)} runs {verb}, {size_text(sum(removal.size for removal in found))}")


def _pack(options: argparse.Namespace) -> None:
    run = stored_run(options.run_, options)
    if goes_on(run.path):
        raise HarnessError(f"{run.path}: the run goes on", "pack its records when it is over")
    before = size_on_disk(run.path)
    folders = record_folders(run.path)
    pack_records(folders)
    after = size_on_disk(run.path)
    facts = {"records": len(folders), "bytes-before": before, "bytes": after}
    _tell(options, facts, f"{len(folders)} records packed: {size_text(before)} -> {size_text(after)}")


def _unpack(options: argparse.Namespace) -> None:
    run = stored_run(options.run_, options)
    files = sorted(run.path.glob(f"*{SUFFIX}"))
    for file in files:
        unpack_record(file)
    after = size_on_disk(run.path)
    facts = {"records": len(files), "bytes": after}
    _tell(options, facts, f"{len(files)} records unpacked: {size_text(after)}")


def _tell(options: argparse.Namespace, facts: dict[str, Any], text: str) -> None:
    print(json.dumps(facts, indent=1) if options.json else text)
