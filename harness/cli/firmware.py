# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness firmware …`` and ``harness build firmware …``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.choice import FORMS
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.trait_values import told
from harness.errors import HarnessError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from harness.recipes.firmware import FirmwareRecipe

    Commands = argparse._SubParsersAction[Any]  # noqa: SLF001  # argparse has no public name for it

_TRAITS = ("technologies", "memory_acceptance", "accepts_at_exit", "kernel_hashes", "debug_output")


def add_build_firmware(kinds: Commands) -> None:
    """Add ``firmware`` to the kinds of things that ``harness build`` builds."""
    build = kinds.add_parser("firmware", help="build or fetch firmware")
    build.add_argument("names", nargs="*", metavar=FORMS, help="firmware to build")
    build.add_argument("--all", action="store_true", help="every recipe")
    build.set_defaults(run=_build)


def add_firmware_commands(commands: Commands) -> None:
    """Add ``harness firmware list|show|why|path``."""
    firmware = commands.add_parser("firmware", help="firmware recipes, and what they make")
    actions = firmware.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="the recipes").set_defaults(run=_list)
    for name, run, text in (
        ("show", _show, "a recipe with all that it extends, and the traits of its image"),
        ("why", _why, "would it be built anew, and which input changed"),
        ("path", _path, "the image's file, made when it is not there yet"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("name", metavar=FORMS, help="the firmware")
        action.set_defaults(run=run)


def _build(options: argparse.Namespace) -> None:
    if bool(options.names) == options.all:
        raise HarnessError("name firmware, or say --all")
    ingredients = Ingredients()
    # All of them before the first is built: a misspelt one is told at once.
    texts = options.names or ingredients.catalog.firmware
    names = list(dict.fromkeys(ingredients.choose_firmware(text) for text in texts))
    failures = []
    for name in names:
        try:
            print(f"firmware {name}: {ingredients.firmware(name).path}", flush=True)
        except HarnessError as error:
            if len(names) == 1:
                raise
            failures.append(str(error))
    if failures:
        raise HarnessError("\nharness: ".join(dict.fromkeys(failures)))


def _list(_options: argparse.Namespace) -> None:
    catalog = Ingredients().catalog
    width = max(map(len, catalog.firmware))
    for recipe in catalog.firmware.values():
        print(f"{recipe.name.ljust(width)}  {recipe.source.way:13}  {recipe.description}".rstrip())


def _show(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    name = ingredients.choose_firmware(options.name)
    print("\n".join(_recipe_lines(ingredients.firmware_recipe(name))))
    firmware = ingredients.firmware(name)
    print(f"image: {firmware.path}")
    found = dataclasses.asdict(firmware.traits)
    for trait in _TRAITS:
        print(f"{trait}: {told(found[trait])} ({firmware.traits.sources[trait]})")


def _recipe_lines(recipe: FirmwareRecipe) -> Iterable[str]:
    yield f"name: {recipe.name}"
    if recipe.description:
        yield f"description: {recipe.description}"
    way = recipe.source.way
    source = recipe.source.model_dump(by_alias=True, exclude_none=True)[way]
    yield f"source: {way}: " + ", ".join(f"{key} {value}" for key, value in source.items() if value)
    yield from (f"expect: {trait}={told(wanted)}" for trait, wanted in recipe.expect)
    if recipe.source.is_image:
        return
    for patch in recipe.patches:
        yield f"patch: {patch}"
    options = recipe.options
    yield f"build: {options.dsc} {options.arch} {options.target} {options.toolchain or ''}".rstrip()
    yield from (f"define: {name}={value}" for name, value in options.defines)
    yield from (f"pcd: {name}={value}" for name, value in options.pcds)


def _why(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    print(ingredients.why_firmware(ingredients.choose_firmware(options.name)))


def _path(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    print(ingredients.firmware(ingredients.choose_firmware(options.name)).path)
