# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness init``: a project of one's own."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from harness.recipes.new_project import new_project

if TYPE_CHECKING:
    import argparse

_NEXT = """\
What to type next:
  cd {folder}
  harness plan    # lists the boots of scenarios/own.yaml
  pytest          # boots and judges them; the first run builds QEMU, which takes minutes"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness init``."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder, or an empty one")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    project = new_project(options.folder)
    folder = project.roots[0]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(path.relative_to(folder))
    print(f"\nThe project {project.name} is in {folder}. README.md says what each file is.")
    print(_NEXT.format(folder=shlex.quote(os.path.relpath(folder))))
