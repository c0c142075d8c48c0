# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness update [NAME…]``: take today's packages into the project's lock files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.artifacts.guest.package_set import update_set
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import find, locked_by
from harness.cli.completion import named
from harness.cli.output import add_json
from harness.debian.lock_file import update

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


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
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    write = not options.dry_run
    if options.names:
        chosen = dict.fromkeys(find(text, ingredients) for text in options.names)
        queries, guests = locked_by(chosen, ingredients)
    else:
        queries, guests = set(ingredients.queries()), list(ingredients.own_guests())
    files: list[dict[str, Any]] = []
    if queries or not options.names:
        keep = bool(options.names)
        changes = update(queries, ingredients.apt, ingredients.lock_file, keep_others=keep, write=write)
        renewed = [
            {
                "key": query.key,
                "old": old.version if old else None,
                "package": new.package,
                "new": new.version,
            }
            for query, old, new in changes
        ]
        files.append({"file": str(ingredients.lock_file), "changed": len(changes), "packages": renewed})
    for recipe in guests:
        count = update_set(recipe, ingredients.apt, write=write)
        files.append({"file": str(recipe.lock_file), "changed": count, "packages": []})
    if options.json:
        print(json.dumps({"written": write, "files": files}, indent=1))
    else:
        print("\n".join(line for file in files for line in _lines(file, write=write)))


def _lines(file: dict[str, Any], *, write: bool) -> Iterator[str]:
    for it in file["packages"]:
        yield f"{it['key']}: {it['old'] or 'new'} -> {it['package']} {it['new']}"
    yield f"{file['file']}: {file['changed']} {'changed' if write else 'would change'}"
