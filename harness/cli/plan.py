# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness plan``, ``harness schema`` and ``harness host``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.documents.document import json_schema
from harness.matrix.pairs import selection
from harness.matrix.schema import scenario_schema
from harness.matrix.show import Shown, as_json, as_markdown, as_text
from harness.paths import SHIPPED, cache_dir
from harness.platforms.registry import platforms
from harness.progress import say
from harness.recipes.firmware import FirmwareFile
from harness.recipes.guest import GuestFile
from harness.recipes.kernel import KernelFile
from harness.recipes.loader import LoaderFile
from harness.recipes.probe import ProbeFile
from harness.recipes.project import ProjectFile, find_project
from harness.run.axis_options import axis_options
from harness.run.keywords import about, compiled
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    import argparse

    from _pytest.mark.expression import Expression
    from pydantic import BaseModel

    from harness.matrix.cell import Cell

RECIPES: dict[str, type[BaseModel]] = {
    "firmware": FirmwareFile,
    "kernels": KernelFile,
    "loaders": LoaderFile,
    "guests": GuestFile,
    "probes": ProbeFile,
    "project": ProjectFile,
}
"""Kinds of files with a fixed schema, as ``harness schema`` names them."""


def plan(options: argparse.Namespace) -> None:
    """Print the boots that scenarios ask for."""
    project = find_project(Path.cwd())
    session = Session(Options(platform=options.platform, axes=axis_options(options)), project, say)
    words = compiled(options.keywords) if options.keywords else None
    shown = []
    for path in options.files or sorted(project.scenarios.rglob("*.yaml")):
        made = session.plan(path)
        if words is not None:
            made = made.only(partial(_is_about, words, path))
            if not made.planned and not made.removed:
                continue
        selected = frozenset(planned.cell for planned in selection(made, full=False))
        shown.append(Shown(made, selected))
    if options.format == "json":
        print(json.dumps([as_json(one) for one in shown], indent=1))
    else:
        print("\n\n".join(map({"text": as_text, "markdown": as_markdown}[options.format], shown)))


def _is_about(words: Expression, path: Path, cell: Cell) -> bool:
    return about(words, (path.name, cell.id))


def schema(options: argparse.Namespace) -> None:
    """Print the JSON Schema of a kind of file."""
    if options.kind == "scenario":
        made = scenario_schema(Session(Options(), find_project(Path.cwd()), say).known)
    else:
        made = json_schema(RECIPES[options.kind])
    print(json.dumps(made, indent=1))


def host(_options: argparse.Namespace) -> None:
    """Print which platforms run on this host, and where the cache is."""
    found = Session(Options(), find_project(Path.cwd()), say).host
    for name, platform in platforms().items():
        print(f"platform {name}: {'; '.join(platform.lacking(found)) or 'runs here'}")
    print(f"cache: {cache_dir()}")
    print(f"shipped recipes and scenarios: {SHIPPED}")
