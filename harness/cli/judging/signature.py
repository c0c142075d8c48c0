# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness signature list|show|find|draft``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import add_json, print_facts, print_rows
from harness.errors import HarnessError
from harness.evidence.record import BootRecord
from harness.evidence.signatures.draft import draft_for
from harness.evidence.signatures.signatures import PLACES, signatures_of
from harness.evidence.text import plain_text, printable
from harness.recipes.project import find_project

if TYPE_CHECKING:
    import argparse

    from harness.evidence.signatures.signatures import Signatures


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``list``, ``show``, ``find`` and ``draft``."""
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    for name, run, text, argument in (
        ("list", _list, "all of them", None),
        ("show", _show, "what the lines of a signature mean, and what to do", ("NAME", "the signature")),
        (
            "find",
            _find,
            "what the lines of a log mean: a console, QEMU's output, the host's kernel log",
            ("FILE", "the log; - for standard input"),
        ),
        (
            "draft",
            _draft,
            "an entry to complete, for a boot's last line that no signature knows",
            ("RECORD", "the boot's record"),
        ),
    ):
        verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if argument is not None:
            verb.add_argument(argument[0].lower(), metavar=argument[0], help=argument[1])
        if run is not _draft:
            add_json(verb)
        verb.set_defaults(run=run)


def _signatures() -> Signatures:
    return signatures_of(find_project(Path.cwd()))


def _list(options: argparse.Namespace) -> None:
    rows = [
        {"name": each.name, "phase": each.says.phase, "meaning": each.says.meaning}
        for each in _signatures().entries
    ]
    print_rows(rows, options)


def _show(options: argparse.Namespace) -> None:
    found = _signatures()
    facts = found.named(options.name).says.model_dump(mode="json", by_alias=True)
    print_facts({"name": options.name, **facts, "file": str(found.files[options.name])}, options)


def _find(options: argparse.Namespace) -> None:
    found = _signatures()
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    except OSError as error:
        raise HarnessError(f"{options.file}: cannot read it: {error.strerror}") from None
    lines = enumerate(plain_text(data).splitlines(), start=1)
    told = [(at, match) for at, line in lines for place in PLACES if (match := found.match(line, place))]
    rows = [
        {"line": at, "signature": it.name, "meaning": it.signature.says.meaning, "said": printable(it.line)}
        for at, it in told
    ]
    if rows or options.json:
        print_rows(rows, options)
    else:
        print("no line that a signature knows")


def _draft(options: argparse.Namespace) -> None:
    ending = BootRecord.load(Path(options.record)).ending
    print(
        draft_for(ending, _signatures())
        or "nothing to draft: the boot completed, or a signature knows its last line"
    )
