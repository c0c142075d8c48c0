# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The verbs ``list`` and ``show``, and how they print: for people, or with ``--json`` for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.artifacts.trait_values import told

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    Run = Callable[[argparse.Namespace], None]

_VALUE, _SOURCE = "value", "source"
_INDENT = "  "


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs; its keys stay")


def add_verbs(parser: argparse.ArgumentParser, list_: Run, show: Run, text: str) -> argparse.ArgumentParser:
    """Add ``list`` and ``show`` (``text`` says what it shows); returns the latter's parser."""
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    listing = verbs.add_parser("list", help="all of them", description="List all of them.")
    add_json(listing)
    listing.set_defaults(run=list_)
    showing = verbs.add_parser("show", help=text, description=f"Show {text}.")
    add_json(showing)
    showing.set_defaults(run=show)
    return showing


def trait(value: object, source: str) -> dict[str, object]:
    """Return a value together with what it was read from."""
    return {_VALUE: value, _SOURCE: source}


def print_rows(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> None:
    """Print one line for each of ``rows``, whose keys are the same, in columns."""
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    texts = [[told(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_facts(facts: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Print what there is to say of one thing; what is empty is not said to people."""
    if options.json:
        print(json.dumps(facts, indent=1))
    else:
        print("\n".join(_lines(facts, "")))


def _lines(facts: Mapping[str, Any], indent: str) -> Iterable[str]:
    for key, value in facts.items():
        if isinstance(value, Mapping) and value.keys() == {_VALUE, _SOURCE}:
            source = f" ({value[_SOURCE]})" if value[_SOURCE] else ""
            yield f"{indent}{key}: {told(value[_VALUE])}{source}"
        elif isinstance(value, Mapping):
            if inner := [*_lines(value, indent + _INDENT)]:
                yield from (f"{indent}{key}:", *inner)
        elif isinstance(value, list):
            if value:
                yield from (f"{indent}{key}:", *(f"{indent}{_INDENT}{told(item)}" for item in value))
        elif value not in {None, ""}:
            yield f"{indent}{key}: {told(value)}"
