# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness``: what pytest does not do."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness.artifacts.guest.package_set import update_set
from harness.artifacts.ingredients import Ingredients
from harness.cli.firmware import add_build_firmware, add_firmware_commands
from harness.cli.kernel import add_kernel_commands
from harness.cli.loader import add_build_image, add_image_commands
from harness.debian.lock_file import update
from harness.errors import ExitCode, HarnessError
from harness.platforms.choice import AUTO
from harness.run.axis_options import PLATFORM_HELP, add_axis_options, platform_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHELL_CELL: dict[str, str | int] = {
    "firmware": "debian-2025.02",
    "kernel": "debian-6.12",
    "loader": "direct",
    "memory": "4G",
    "vcpus": 1,
    "cmdline": "",
}
"""What `harness shell` boots when nothing else is said."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; one message and the error's exit code when it cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.OK


class Parser(argparse.ArgumentParser):
    """argparse, with the house's exit code for a mistake of the user's."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit."""
        self.print_usage(sys.stderr)
        self.exit(ExitCode.MISTAKE, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="harness", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    init = commands.add_parser("init", help="make a project of your own, with an example of each thing")
    init.add_argument("folder", type=Path, metavar="DIR", help="a new folder, or an empty one")
    init.set_defaults(run=_of_session("init", "harness.cli.init"))

    plan = commands.add_parser("plan", help="list the boots that scenarios ask for on this host")
    plan.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: all of scenarios/")
    plan.add_argument("-k", dest="keywords", metavar="EXPR", help="only cells that match, as with pytest")
    plan.add_argument("--platform", type=platform_choice, default=AUTO, metavar="NAME", help=PLATFORM_HELP)
    add_axis_options(plan.add_argument)
    plan.add_argument(
        "--format", choices=("text", "json", "markdown"), default="text", help="default: %(default)s"
    )
    plan.set_defaults(run=_of_session("plan"))

    schema = commands.add_parser("schema", help="print the JSON Schema of a kind of file, for editors")
    schema.add_argument(
        "kind",
        choices=("scenario", "project", "firmware", "kernels", "loaders", "guests", "probes"),
        help="what the file holds",
    )
    schema.set_defaults(run=_of_session("schema"))

    build = commands.add_parser(
        "build", help="fetch and build all ingredients, so that boots need no waiting"
    )
    build.set_defaults(run=_build)
    kinds = build.add_subparsers(metavar="KIND", help="only these: firmware, image")
    add_build_firmware(kinds)
    add_build_image(kinds)

    add_firmware_commands(commands)
    add_kernel_commands(commands)
    add_image_commands(commands)

    shell = commands.add_parser("shell", help="boot a Debian guest to work in, and say how to log in")
    shell.add_argument("guest", nargs="?", default="debian-trixie", help="default: %(default)s")
    for axis, usual in SHELL_CELL.items():
        shell.add_argument(f"--{axis}", type=type(usual), default=usual, help=f"default: {usual or 'none'}")
    shell.add_argument("--platform", type=platform_choice, default=AUTO, metavar="NAME", help=PLATFORM_HELP)
    shell.set_defaults(run=_of_session("shell", "harness.cli.shell"))

    renew = commands.add_parser("update", help="lock the newest packages that answer the recipes")
    renew.set_defaults(run=_update)

    why = commands.add_parser("why", help="say whether QEMU would be built anew, and which input changed")
    why.set_defaults(run=_why)

    host = commands.add_parser("host", help="say what this host can do, and where the cache is")
    host.set_defaults(run=_of_session("host"))
    return parser


def _of_session(command: str, module: str = "harness.cli.plan") -> Callable[[argparse.Namespace], None]:
    """Commands about boots need half of the harness; the others should not wait for its import."""

    def run(options: argparse.Namespace) -> None:
        getattr(importlib.import_module(module), command)(options)

    return run


def _build(_options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    for name in ingredients.catalog.firmware:
        print(f"firmware {name}: {ingredients.firmware(name).path}")
    for name in ingredients.catalog.kernels:
        print(f"kernel {name}: {ingredients.kernel(name).path}")
    for name in ingredients.catalog.loaders:
        for key, path in ingredients.loader(name).binaries.items():
            print(f"loader {name}, {key}: {path}")
    print(f"initramfs: {ingredients.initrd}")
    for name in ingredients.catalog.guests:
        print(f"guest {name}: {ingredients.guest_disk(name)}")
    print(f"qemu: {ingredients.qemu}")


def _update(_options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    changes = update(ingredients.queries(), ingredients.apt, ingredients.lock_file)
    for query, old, new in changes:
        print(f"{query.key}: {old.version if old else 'new'} -> {new.package} {new.version}")
    print(f"{ingredients.lock_file}: {len(changes)} changed")
    for recipe in ingredients.own_guests():
        print(f"{recipe.lock_file}: {update_set(recipe, ingredients.apt)} changed")


def _why(_options: argparse.Namespace) -> None:
    print(Ingredients().why_qemu())


if __name__ == "__main__":
    sys.exit(main())
