# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness kernel …``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.choice import FORMS
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.trait_values import told
from harness.recipes.kernel import KernelRecipe

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from harness.debian.lock_file import Lock
    from harness.recipes.catalog import AnyKernel

    Commands = argparse._SubParsersAction[Any]  # noqa: SLF001  # argparse has no public name for it

_TRAITS = ("version", "technologies", "unaccepted_memory", "efi_stub", "handover")
_PROBE = "probe"


def add_kernel_commands(commands: Commands) -> None:
    """Add ``harness kernel list|show``."""
    kernel = commands.add_parser("kernel", help="kernels that guests boot, and what each can do")
    actions = kernel.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="the recipes").set_defaults(run=_list)
    show = actions.add_parser("show", help="where a kernel comes from, and its traits")
    show.add_argument("name", metavar=FORMS, help="the kernel")
    show.set_defaults(run=_show)


def _list(_options: argparse.Namespace) -> None:
    catalog = Ingredients().catalog
    width = max(map(len, catalog.kernels))
    for name, recipe in catalog.kernels.items():
        print(f"{name.ljust(width)}  {_way(recipe):8}  {recipe.description}".rstrip())


def _way(recipe: AnyKernel) -> str:
    return recipe.source.way if isinstance(recipe, KernelRecipe) else _PROBE


def _show(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    name = ingredients.choose_kernel(options.name)
    recipe = ingredients.kernel_recipe(name)
    print(f"name: {name}")
    if recipe.description:
        print(f"description: {recipe.description}")
    if isinstance(recipe, KernelRecipe):
        print("\n".join(_source_lines(recipe, ingredients.lock_of("kernel", name))))
    else:
        print(f"options: {recipe.options}".rstrip())
    kernel = ingredients.kernel(name)
    print(f"image: {kernel.path}")
    found = dataclasses.asdict(kernel.traits)
    for trait in _TRAITS:
        source = kernel.traits.sources.get(trait)
        print(f"{trait}: {told(found[trait])}" + (f" ({source})" if source else ""))


def _source_lines(recipe: KernelRecipe, lock: Lock) -> Iterable[str]:
    source = recipe.source
    for query in recipe.queries():
        package = lock.require(query)
        yield f"package: {package.package} {package.version} ({package.suite})"
    if source.file is not None or source.tree is not None:
        told = source.model_dump(exclude_none=True)[source.way]
        yield f"{source.way}: {recipe.path(told.pop('path'))}"
        yield from (f"{key}: {recipe.path(value)}" for key, value in told.items() if isinstance(value, str))
    if not recipe.efi_stub:
        yield "changed: the entries of EFI stub and handover are cleared"
