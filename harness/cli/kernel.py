# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness kernel list|show``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.choice import FORMS
from harness.artifacts.ingredients import Ingredients
from harness.cli.completion import recipes
from harness.cli.output import add_verbs, print_facts, print_rows, trait
from harness.recipes.kernel import KernelRecipe

if TYPE_CHECKING:
    import argparse

    from harness.debian.lock_file import Lock
    from harness.recipes.catalog import AnyKernel

_TRAITS = ("version", "technologies", "unaccepted_memory", "efi_stub", "handover")
_PROBE = "probe"


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``list`` and ``show``."""
    show = add_verbs(parser, _list, _show, "where a kernel comes from, and its traits")
    show.add_argument("name", metavar=FORMS, help="the kernel").completer = recipes("kernel")  # type: ignore[attr-defined]


def _list(options: argparse.Namespace) -> None:
    kernels = Ingredients().catalog.kernels
    rows = [
        {"name": name, "source": _way(recipe), "description": recipe.description}
        for name, recipe in kernels.items()
    ]
    print_rows(rows, options)


def _way(recipe: AnyKernel) -> str:
    return recipe.source.way if isinstance(recipe, KernelRecipe) else _PROBE


def _show(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    name = ingredients.choose_kernel(options.name)
    recipe = ingredients.kernel_recipe(name)
    kernel = ingredients.kernel(name)  # before the first line: a wrong image is one message and nothing else
    facts: dict[str, Any] = {"name": name, "description": recipe.description, "source": {"way": _way(recipe)}}
    if isinstance(recipe, KernelRecipe):
        facts["source"] |= _source(recipe, ingredients.lock_of("kernel", name))
        facts["efi_stub_cleared"] = not recipe.efi_stub
    else:
        facts["options"] = recipe.options
    facts["image"] = str(kernel.path)
    found = dataclasses.asdict(kernel.traits)
    facts["traits"] = {key: trait(found[key], kernel.traits.sources.get(key, "")) for key in _TRAITS}
    print_facts(facts, options)


def _source(recipe: KernelRecipe, lock: Lock) -> dict[str, Any]:
    source = recipe.source
    if source.prebuilt is not None:
        packages = [lock.require(query) for query in recipe.queries()]
        return {"packages": [f"{it.package} {it.version} ({it.suite})" for it in packages]}
    told = source.model_dump(exclude_none=True)[source.way]
    return {key: str(recipe.path(value)) if isinstance(value, str) else value for key, value in told.items()}
