# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness shell``: a Debian guest to work in by hand."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.ingredients import Ingredients
from harness.boot.cell_machine import machine_spec
from harness.boot.running_guest import running_guest
from harness.cli.completion import recipes
from harness.errors import HarnessError
from harness.matrix.cell import Cell, parse_memory
from harness.platforms import kvm
from harness.platforms.choice import AUTO, USUAL, on_host
from harness.platforms.host import survey
from harness.progress import say
from harness.run.axis_options import PLATFORM_HELP, platform_choice

if TYPE_CHECKING:
    import argparse


USUAL_CELL: dict[str, str | int] = {
    "firmware": "debian-2025.02",
    "kernel": "debian-6.12",
    "loader": "direct",
    "memory": "4G",
    "vcpus": 1,
    "cmdline": "",
}
"""What it boots when nothing else is said."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness shell``."""
    guest = parser.add_argument("guest", nargs="?", default="debian-trixie", help="default: %(default)s")
    guest.completer = recipes("guest")  # type: ignore[attr-defined]
    for axis, usual in USUAL_CELL.items():
        option = parser.add_argument(
            f"--{axis}", type=type(usual), default=usual, help=f"default: {usual or 'none'}"
        )
        if axis in {"firmware", "kernel", "loader"}:
            option.completer = recipes(axis)  # type: ignore[attr-defined]
    parser.add_argument("--platform", type=platform_choice, default=AUTO, metavar="NAME", help=PLATFORM_HELP)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Boot the guest, say how to log in, and wait until it powers off or the user has had enough."""
    ingredients = Ingredients(progress=say)
    host = survey(kvm_trouble=lambda: kvm.trouble(ingredients.qemu))
    platform = on_host(options.platform, host)(USUAL if options.platform == AUTO else options.platform)
    # Named before anything is built.
    ingredients.catalog.guest_recipe(options.guest)
    ingredients.catalog.loader_recipe(options.loader)
    try:
        memory = parse_memory(options.memory)
    except ValueError as error:
        raise HarnessError(f"--memory: {error}") from error
    cell = Cell(
        ingredients.choose_firmware(options.firmware),
        ingredients.choose_kernel(options.kernel),
        options.loader,
        memory,
        platform,
        options.vcpus,
        options.cmdline,
        guest=options.guest,
    )
    with tempfile.TemporaryDirectory(prefix="harness-shell-") as folder:
        say(f"booting {cell.id}")
        with running_guest(machine_spec(cell, ingredients, host), Path(folder)) as guest:
            print(f"{guest.command}\n# its consoles are in {folder}; Ctrl-C here ends the guest", flush=True)
            why = guest.machine.wait(lambda: guest.gone() or None, math.inf)
    say(f"the guest has ended: {why}")
