# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness loader list|show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.choice import FORMS
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import PAYLOAD_KERNEL
from harness.cli.completion import recipes
from harness.cli.output import add_verbs, print_facts, print_rows, trait

if TYPE_CHECKING:
    import argparse

_TRAITS = ("version", "with_stub", "without_stub")


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``list`` and ``show``."""
    show = add_verbs(parser, _list, _show, "a loader's programs, and how it enters a kernel")
    show.add_argument("name", metavar="NAME", help="the loader").completer = recipes("loader")  # type: ignore[attr-defined]
    show.add_argument(
        "--kernel",
        default=PAYLOAD_KERNEL,
        metavar=FORMS,
        help=f"the kernel to enter (default: {PAYLOAD_KERNEL})",
    ).completer = recipes("kernel")  # type: ignore[attr-defined]


def _list(options: argparse.Namespace) -> None:
    recipes = Ingredients().catalog.loaders.values()
    rows = [
        {"name": recipe.name, "kind": recipe.kind.way, "description": recipe.description}
        for recipe in recipes
    ]
    print_rows(rows, options)


def _show(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    loader = ingredients.loader(options.name)
    kernel = ingredients.kernel(ingredients.choose_kernel(options.kernel))
    lock = ingredients.lock_of("loader", options.name)
    programs: dict[str, Any] = {}
    for key, binary in loader.recipe.binaries:
        package = lock.require(binary.query())
        programs[key] = trait(binary.path, f"{package.package} {package.version} ({binary.suite})")
    traits = {
        key: trait(said, loader.traits.sources[key])
        for key in _TRAITS
        if (said := getattr(loader.traits, key))
    }
    facts = {
        "name": loader.recipe.name,
        "description": loader.recipe.description,
        "kind": loader.recipe.kind.way,
        "programs": programs,
        "traits": traits,
        "enters": {"kernel": kernel.name, "by": loader.traits.entry(kernel.traits)},
    }
    print_facts(facts, options)
