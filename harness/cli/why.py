# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness why [NAME…]``: whether it would be made anew, and which input changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import NAMED_FORMS, QEMU, Payload, find, why
from harness.cli.build import add_payload
from harness.cli.completion import named
from harness.cli.output import add_json

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness why``."""
    names = parser.add_argument("names", nargs="*", metavar=NAMED_FORMS, help=f"default: {QEMU}")
    names.completer = named  # type: ignore[attr-defined]
    add_payload(parser)
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    payload = Payload(options.kernel, options.cmdline)
    chosen = dict.fromkeys(find(text, ingredients) for text in options.names or [QEMU])
    found = [why(it, ingredients, payload) for it in chosen]
    if options.json:
        print(json.dumps([it.to_json() for it in found], indent=1))
    else:
        print("\n".join(it.text for it in found))
