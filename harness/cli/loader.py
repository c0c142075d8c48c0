# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness image …`` and ``harness build image …``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.artifacts.firmware.choice import FORMS
from harness.artifacts.guest.initramfs import CMDLINE
from harness.artifacts.ingredients import Ingredients
from harness.errors import HarnessError
from harness.recipes.loader import DIRECT

if TYPE_CHECKING:
    import argparse

    Commands = argparse._SubParsersAction[Any]  # noqa: SLF001  # argparse has no public name for it

_KERNEL = "debian-6.12"
_TRAITS = ("version", "with_stub", "without_stub")


def add_build_image(kinds: Commands) -> None:
    """Add ``image`` to the kinds of things that ``harness build`` builds."""
    build = kinds.add_parser("image", help="build the disk on which a loader starts a kernel")
    build.add_argument("names", nargs="*", metavar="LOADER", help="loaders whose disks to build")
    build.add_argument("--all", action="store_true", help="every loader that has a disk")
    _add_payload(build)
    build.set_defaults(run=_build)


def add_image_commands(commands: Commands) -> None:
    """Add ``harness image list|show``."""
    image = commands.add_parser("image", help="loaders, and the disks on which they start kernels")
    actions = image.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="the loaders").set_defaults(run=_list)
    show = actions.add_parser("show", help="a loader's programs and traits, and its disk")
    show.add_argument("name", metavar="LOADER", help="the loader")
    _add_payload(show)
    show.set_defaults(run=_show)


def _add_payload(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kernel", default=_KERNEL, metavar=FORMS, help=f"default: {_KERNEL}")
    parser.add_argument("--cmdline", default=CMDLINE, help=f"default: {CMDLINE}")


def _build(options: argparse.Namespace) -> None:
    if bool(options.names) == options.all:
        raise HarnessError("harness build image: name loaders, or say --all")
    ingredients = Ingredients()
    loaders = ingredients.catalog.loaders
    kernel = ingredients.choose_kernel(options.kernel)
    names = options.names or [name for name, recipe in loaders.items() if not recipe.is_direct]
    for name in dict.fromkeys(names):
        path = ingredients.loader_image(name, kernel, ingredients.initrd, options.cmdline)
        print(f"image {name}: {path}", flush=True)


def _list(_options: argparse.Namespace) -> None:
    loaders = Ingredients().catalog.loaders
    width = max(map(len, loaders))
    for recipe in loaders.values():
        print(f"{recipe.name.ljust(width)}  {recipe.kind.way:12}  {recipe.description}".rstrip())


def _show(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    loader = ingredients.loader(options.name)
    kernel = ingredients.kernel(ingredients.choose_kernel(options.kernel))
    print(f"name: {loader.recipe.name}")
    for key, binary in loader.recipe.binaries:
        package = ingredients.lock_of("loader", options.name).require(binary.query())
        print(f"{key}: {binary.path} of {package.package} {package.version} ({binary.suite})")
    for trait in _TRAITS:
        if said := getattr(loader.traits, trait):
            print(f"{trait}: {said} ({loader.traits.sources[trait]})")
    print(f"enters {kernel.name} by: {loader.traits.entry(kernel.traits)}")
    if options.name != DIRECT:
        image = ingredients.loader_image(options.name, kernel.name, ingredients.initrd, options.cmdline)
        print(f"disk: {image}")
