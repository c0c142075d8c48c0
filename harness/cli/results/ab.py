# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness ab``: two firmwares, kernels or other values of one axis, booted in turn."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.completion import recipes
from harness.errors import ExitCode, HarnessError
from harness.matrix.cell import TABLE
from harness.platforms.choice import AUTO
from harness.progress import say
from harness.recipes.project import find_project
from harness.results.ab.page import ab_page
from harness.results.ab.show import show_ab
from harness.results.show_comparison import FORMATS
from harness.run.ab import Wanted, boot_in_turn
from harness.run.axis_options import AXIS_OPTIONS, PLATFORM_HELP, platform_choice
from harness.run.options import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

_AXES = tuple(axis for axis in TABLE if axis.name != "platform")
_TIMES = 10
_MOST = 1000


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("what", metavar="SCENARIO|CELL", help="a scenario's file, or a cell (id or axes)")
    forms = {axis: form for axis, (form, _) in AXIS_OPTIONS.items()}
    for axis in _AXES:
        option = parser.add_argument(
            f"--{axis.name}",
            action="append",
            default=[],
            metavar=forms.get(axis.name),
            help=f"given twice: A, then B ({axis.meaning.partition(';')[0]})",
        )
        if axis.name in {"firmware", "kernel", "loader", "guest"}:
            option.completer = recipes(axis.name)  # type: ignore[attr-defined]
    parser.add_argument(
        "--times",
        type=_times,
        default=_TIMES,
        metavar="N",
        help="boots of each cell on each side (default: 10)",
    )
    parser.add_argument("--platform", type=platform_choice, default=AUTO, metavar="NAME", help=PLATFORM_HELP)
    parser.add_argument("--full", action="store_true", help="all cells of a scenario that has many")
    parser.add_argument(
        "--boots", type=_times, metavar="N", help="boots at once; 1 for times without a neighbour"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    parser.epilog = "exit codes: 0 B is not worse, 1 B fails where A does not (beyond chance), 6 the host"
    parser.set_defaults(run=_ab)


def _times(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {_MOST}")
    return int(text)


def _ab(options: argparse.Namespace) -> ExitCode:
    axis, (a, b) = _sides({axis.name: getattr(options, axis.name) for axis in _AXES})
    chosen = Options(platform=options.platform, boots=options.boots, full=options.full)
    wanted = Wanted(options.what, axis, a, b, options.times)
    run, pairs = boot_in_turn(wanted, chosen, find_project(Path.cwd()), say)
    page = ab_page(run, axis, (a, b), pairs, options.times)
    print(show_ab(page, "json" if options.json else options.format))
    say(f"run: {run.path}")
    if run.end is not None and run.end.code == ExitCode.HOST:
        return ExitCode.HOST
    return ExitCode.WRONG if page.is_worse else ExitCode.OK


def _sides(given: Mapping[str, list[str]]) -> tuple[str, tuple[str, str]]:
    """Return the axis that was given twice, and its two values; HarnessError for anything else."""
    named = {axis: values for axis, values in given.items() if values}
    if len(named) == 1:
        ((axis, values),) = named.items()
        if len(values) == 2:
            return axis, (values[0], values[1])
    told = ", ".join(f"--{axis} {len(values)} times" for axis, values in named.items()) or "none"
    hint = "write such as --firmware debian-2025.02 --firmware tree:../edk2"
    raise HarnessError(f"wanted one axis given twice, found {told}", hint)
