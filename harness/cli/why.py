# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness why [NAME…]``: whether it would be made anew, and which input changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import NAMED_FORMS, QEMU, Payload, find, why
from harness.cli.build import add_payload
from harness.cli.completion import named

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness why``."""
    names = parser.add_argument("names", nargs="*", metavar=NAMED_FORMS, help=f"default: {QEMU}")
    names.completer = named  # type: ignore[attr-defined]
    add_payload(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    payload = Payload(options.kernel, options.cmdline)
    chosen = dict.fromkeys(find(text, ingredients) for text in options.names or [QEMU])
    for it in chosen:
        print(why(it, ingredients, payload))
