# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness guest list|show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.artifacts.guest.package_set import load_set
from harness.artifacts.ingredients import Ingredients
from harness.cli.completion import recipes
from harness.cli.output import add_verbs, print_facts, print_rows
from harness.matrix.choices import GUESTS

if TYPE_CHECKING:
    import argparse

_BUILT_IN = dict(zip(GUESTS, ("busybox and our reporter", "the same, but more than a GiB"), strict=True))


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``list`` and ``show``."""
    show = add_verbs(parser, _list, _show, "what is installed in a guest, and what it can do")
    show.add_argument("name", metavar="NAME", help="the guest").completer = recipes("guest")  # type: ignore[attr-defined]


def _list(options: argparse.Namespace) -> None:
    rows = [{"name": name, "kind": "initramfs", "description": text} for name, text in _BUILT_IN.items()]
    rows += [
        {"name": recipe.name, "kind": recipe.suite, "description": recipe.description}
        for recipe in Ingredients().catalog.guests.values()
    ]
    print_rows(rows, options)


def _show(options: argparse.Namespace) -> None:
    catalog = Ingredients().catalog
    if options.name in _BUILT_IN:
        facts = {
            "name": options.name,
            "description": _BUILT_IN[options.name],
            "kind": "initramfs",
            "actions": sorted(name for name, it in catalog.actions.items() if not it.whole_system),
        }
    else:
        recipe = catalog.guest_recipe(options.name)
        facts = {
            "name": recipe.name,
            "description": recipe.description,
            "kind": recipe.suite,
            "packages": list(recipe.packages),
            "lock": str(recipe.lock_file),
            "locked": len(load_set(recipe)),
            "actions": sorted(catalog.actions),
        }
    print_facts(facts, options)
