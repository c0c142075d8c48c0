# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness check list|show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.asked import asked_where, check_named
from harness.checks.asked import checks as all_checks
from harness.cli.completion import checks
from harness.cli.output import add_verbs, print_facts, print_rows

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``list`` and ``show``."""
    show = add_verbs(parser, _list, _show, "a check's question, and which cells get it")
    show.add_argument("name", metavar="NAME", help="the check").completer = checks  # type: ignore[attr-defined]


def _list(options: argparse.Namespace) -> None:
    print_rows([{"name": name, "question": check.question} for name, check in all_checks().items()], options)


def _show(options: argparse.Namespace) -> None:
    check = check_named(options.name)
    facts = {
        "name": check.name,
        "question": check.question,
        "reads": str(check.needs),
        "asked of": list(asked_where(check)),
    }
    print_facts(facts, options)
