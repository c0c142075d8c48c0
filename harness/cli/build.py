# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness build [NAME…]``: make everything, or what is named, and say where it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import FORMS
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import NAMED_FORMS, Payload, every, find, make
from harness.cli.completion import named, recipes
from harness.cli.output import add_json
from harness.errors import HarnessError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness build``."""
    names = parser.add_argument(
        "names",
        nargs="*",
        metavar=NAMED_FORMS,
        help="firmware, kernels, guests, disks of loaders, initramfs, qemu; none: everything, of loaders "
        "their programs",
    )
    names.completer = named  # type: ignore[attr-defined]
    add_payload(parser)
    add_json(parser)
    parser.set_defaults(run=_run)


def add_payload(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is on the disk of a loader."""
    usual = Payload()
    kernel = parser.add_argument(
        "--kernel", default=usual.kernel, metavar=FORMS, help=f"on disks of loaders (default: {usual.kernel})"
    )
    kernel.completer = recipes("kernel")  # type: ignore[attr-defined]
    parser.add_argument(
        "--cmdline", default=usual.cmdline, help=f"on disks of loaders (default: {usual.cmdline})"
    )


def _run(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    payload = Payload(options.kernel, options.cmdline)
    # All of them before the first is built: a misspelt one ends the command at once.
    chosen = dict.fromkeys(find(text, ingredients) for text in options.names)
    made: list[tuple[str, str, Callable[[], Path]]] = [
        (it.kind, it.name, lambda it=it: make(it, ingredients, payload))  # type: ignore[misc]
        for it in chosen or every(ingredients)
    ]
    if not chosen:
        made += [
            ("loader", f"{name} {key}", lambda name=name, key=key: ingredients.loader(name).binaries[key])  # type: ignore[misc]
            for name, recipe in ingredients.catalog.loaders.items()
            for key, _ in recipe.binaries
        ]
    _make_all(made, as_json=options.json)


def _make_all(wanted: list[tuple[str, str, Callable[[], Path]]], *, as_json: bool) -> None:
    """Make what can be made, then raise what could not; with one failure its own kind."""
    rows, failures = [], []
    for kind, name, maker in wanted:
        try:
            path = maker()
        except HarnessError as error:
            failures.append(error)
            continue
        rows.append({"kind": kind, "name": name, "path": str(path)})
        if not as_json:
            print(f"{name}: {path}", flush=True)
    if as_json:
        print(json.dumps(rows, indent=1))
    if len({str(error) for error in failures}) > 1:
        worst = max(failures, key=lambda error: error.exit_code)
        raise type(worst)("\nharness: ".join(dict.fromkeys(map(str, failures))))
    if failures:
        raise failures[0]
