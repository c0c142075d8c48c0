# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness report``: a run as static pages, or for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import add_json
from harness.cli.results.stored import RUN_HELP, add_base, add_records, comparison_with, stored_run
from harness.errors import HarnessError
from harness.results.kcidb import as_kcidb
from harness.results.redact import Redaction, redacted_run
from harness.results.report.pages import write_report

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run_", nargs="?", default="last", metavar="RUN", help=f"{RUN_HELP} (default: last)")
    parser.add_argument("-o", dest="out", type=Path, metavar="DIR|FILE", help="default: report (report.json)")
    parser.add_argument(
        "--all", action="store_true", help="pages for all cells, not only failed and changed ones"
    )
    parser.add_argument(
        "--format", choices=("html", "kcidb"), default="html", help="pages, or a file for KernelCI"
    )
    parser.add_argument(
        "--origin", default="ovmf_acceptance", help="who submits, for kcidb (default: %(default)s)"
    )
    parser.add_argument(
        "--redact", action="store_true", help="without host name, paths of the user and serial numbers"
    )
    add_base(parser)
    add_json(parser)
    add_records(parser)
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    run = stored_run(options.run_, options)
    redaction = Redaction.of_here() if options.redact else None
    if redaction is not None:
        run = redacted_run(run, redaction)
    if options.format == "kcidb":
        out = options.out or Path("report.json")
        try:
            document = as_kcidb(run, options.origin)
        except ValueError as error:
            raise HarnessError(str(error)) from None
        out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        told = f"{len(document['tests'])} tests; cells, findings, processor and kernel are inside"
        _tell(out, out.stat().st_size, told, options)
        return
    first = write_report(
        run,
        options.out or Path("report"),
        comparison_with(run, options),
        every=options.all,
        redaction=redaction,
    )
    size = sum(path.stat().st_size for path in first.parent.rglob("*") if path.is_file())
    inside = (
        "verdicts, consoles, inputs and the host's name" if redaction is None else "verdicts and consoles"
    )
    _tell(first, size, f"{size / 1e6:.2f} MB; {inside} are inside", options)


def _tell(file: Path, size: int, told: str, options: argparse.Namespace) -> None:
    """Print which file opens the report, its size with all that belongs to it, and what is inside."""
    facts = {"file": str(file), "format": options.format, "bytes": size, "redacted": options.redact}
    print(json.dumps(facts, indent=1) if options.json else f"{file}: {told}")
