# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness firmware list|show``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.choice import FORMS
from harness.artifacts.ingredients import Ingredients
from harness.cli.completion import recipes
from harness.cli.output import add_verbs, print_facts, print_rows, trait

if TYPE_CHECKING:
    import argparse

    from harness.recipes.firmware import FirmwareRecipe

_TRAITS = (
    *("technologies", "memory_acceptance", "accepts_at_exit", "kernel_hashes", "debug_output"),
    "private_apic",
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add ``list`` and ``show``."""
    show = add_verbs(parser, _list, _show, "a recipe with all that it extends, and the traits of its image")
    show.add_argument("name", metavar=FORMS, help="the firmware").completer = recipes("firmware")  # type: ignore[attr-defined]


def _list(options: argparse.Namespace) -> None:
    recipes = Ingredients().catalog.firmware.values()
    rows = [
        {"name": recipe.name, "source": recipe.source.way, "description": recipe.description}
        for recipe in recipes
    ]
    print_rows(rows, options)


def _show(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    name = ingredients.choose_firmware(options.name)
    facts = _recipe_facts(ingredients.firmware_recipe(name))
    firmware = ingredients.firmware(name)
    found = dataclasses.asdict(firmware.traits)
    traits = {key: trait(found[key], firmware.traits.sources[key]) for key in _TRAITS}
    print_facts({**facts, "image": str(firmware.path), "traits": traits}, options)


def _recipe_facts(recipe: FirmwareRecipe) -> dict[str, Any]:
    way = recipe.source.way
    told = recipe.source.model_dump(by_alias=True, exclude_none=True, mode="json")[way]
    facts: dict[str, Any] = {
        "name": recipe.name,
        "description": recipe.description,
        "source": {"way": way, **told},
        "expect": dict(recipe.expect),
    }
    if not recipe.source.is_image:
        options = recipe.options
        facts["patches"] = [str(patch) for patch in recipe.patches]
        facts["build"] = {
            "dsc": options.dsc,
            "arch": options.arch,
            "target": options.target,
            "toolchain": options.toolchain,
            "defines": dict(options.defines),
            "pcds": dict(options.pcds),
        }
    return facts
