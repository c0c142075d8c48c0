# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness update [NAME…]``: take today's packages into the project's lock files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.artifacts.guest.package_set import update_set
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import find, locked_by
from harness.cli.completion import named
from harness.debian.lock_file import update

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness update``."""
    names = parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="firmware, kernels, loaders, guests, initramfs, qemu: renew only what these have in the lock "
        "files; none: everything",
    )
    names.completer = named  # type: ignore[attr-defined]
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and write nothing")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    write = not options.dry_run
    if options.names:
        chosen = dict.fromkeys(find(text, ingredients) for text in options.names)
        queries, guests = locked_by(chosen, ingredients)
    else:
        queries, guests = set(ingredients.queries()), list(ingredients.own_guests())
    if queries or not options.names:
        keep = bool(options.names)
        changes = update(queries, ingredients.apt, ingredients.lock_file, keep_others=keep, write=write)
        for query, old, new in changes:
            print(f"{query.key}: {old.version if old else 'new'} -> {new.package} {new.version}")
        print(f"{ingredients.lock_file}: {len(changes)} {'changed' if write else 'would change'}")
    for recipe in guests:
        count = update_set(recipe, ingredients.apt, write=write)
        print(f"{recipe.lock_file}: {count} {'changed' if write else 'would change'}")
