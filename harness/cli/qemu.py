# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness qemu tree`` and ``harness qemu export``: to work on the emulation, and back."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.ingredients import Ingredients
from harness.artifacts.qemu import BINARY, folder
from harness.artifacts.qemu_tree import export_tree, make_tree
from harness.paths import SHIPPED_PROJECT
from harness.recipes.qemu import load_qemu

if TYPE_CHECKING:
    import argparse

_USUAL = "qemu-tree"


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``tree`` and ``export``."""
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    text = "make a git tree of the patched source, one commit a patch"
    tree = verbs.add_parser("tree", help=text, description=f"{text[0].upper()}{text[1:]}.")
    tree.add_argument(
        "tree", nargs="?", metavar="DIR", default=_USUAL, help=f"a new folder (default: {_USUAL})"
    )
    tree.set_defaults(run=_tree)
    text = "write the commits of such a tree back as patches and files"
    export = verbs.add_parser("export", help=text, description=f"{text[0].upper()}{text[1:]}.")
    export.add_argument("tree", metavar="TREE", help="a folder that `harness qemu tree` made")
    export.set_defaults(run=_export)


def _tree(options: argparse.Namespace) -> None:
    ingredients, recipe = Ingredients(), load_qemu()
    tree = Path(options.tree)
    make_tree(recipe, ingredients.apt, ingredients.base_lock, folder(SHIPPED_PROJECT), tree)
    print(f"{tree}: one commit a patch")
    # Debian's source lacks the wheels that configure would take; meson is in this environment.
    here = f"PATH={Path(sys.executable).parent}:$PATH"
    configure = shlex.join(["../configure", f"--python={sys.executable}", *recipe.configure])
    print(f"to build: mkdir {tree}/build && cd {tree}/build && {here} {configure} && {here} ninja {BINARY}")
    print(f"to write commits back: harness qemu export {tree}")


def _export(options: argparse.Namespace) -> None:
    there = folder(SHIPPED_PROJECT)
    changed = export_tree(Path(options.tree), there)
    for path in changed:
        print(there / path)
    if not changed:
        print(f"{there} has all of it already")
