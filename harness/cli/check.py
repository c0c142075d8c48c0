# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness check list|show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.registry import all_checks
from harness.cli.completion import checks
from harness.cli.output import add_verbs, print_facts, print_rows
from harness.documents.document import near
from harness.errors import HarnessError

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``list`` and ``show``."""
    show = add_verbs(parser, _list, _show, "a check's question, and which cells it is asked of")
    show.add_argument("name", metavar="NAME", help="the check").completer = checks  # type: ignore[attr-defined]


def _list(options: argparse.Namespace) -> None:
    print_rows([{"name": name, "question": check.question} for name, check in all_checks().items()], options)


def _show(options: argparse.Namespace) -> None:
    found = all_checks()
    if options.name not in found:
        raise HarnessError(f"unknown check {options.name!r}", near(options.name, found))
    check = found[options.name]
    print_facts({"name": check.name, "question": check.question}, options)
