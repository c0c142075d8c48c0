# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The file ``harness.toml``, which makes a folder a project of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from harness.documents.document import Document, load_document
from harness.documents.strict import Strict
from harness.errors import HarnessError
from harness.extensions import extensions
from harness.paths import SHIPPED, SHIPPED_PROJECT, Project, project_file
from harness.recipes.common import Name

Folder = Annotated[str, StringConstraints(min_length=1)]
RECIPE_FOLDERS = ("ovmf-builds", "guest-images", "qemu-builds")
"""What a folder has that recipes are looked up in."""


class ProjectFile(Strict):
    """The file ``harness.toml``. Folders are relative to the file's own."""

    name: Name = Field(description="short name of the project")
    scenarios: Folder = Field(default="scenarios", description="folder with the scenario files")
    recipes: tuple[Folder, ...] = Field(
        default=(),
        description="further folders with ovmf-builds/, guest-images/ or qemu-builds/, to look up after this "
        "project's own",
    )
    out: Folder = Field(default="out", description="folder for boot records and other results")
    shipped: bool = Field(default=True, description="false: the shipped recipes and guests are not looked up")


def find_project(start: Path, out: Path | None = None) -> Project:
    """Return the project of the nearest ``harness.toml`` in or above a folder, else the shipped one.

    The shipped one writes its results to ``out`` below ``out`` (default: ``start``). HarnessError for
    mistakes in the file, with line and column, and for folders that are not there.
    """
    file = project_file(start)
    if file is None:
        roots = _unique([*_packages(), SHIPPED])
        return Project(roots, SHIPPED_PROJECT.name, None, SHIPPED_PROJECT.scenarios, (out or start) / "out")
    document = load_document(file, ProjectFile)
    said, here = document.model, file.parent
    others = [_other(document, number) for number in range(len(said.recipes))]
    shipped = [SHIPPED] if said.shipped else []
    return Project(
        roots=_unique([here, *others, *_packages(), *shipped]),
        name=said.name,
        file=file,
        scenarios=_below(here, said.scenarios),
        out=_below(here, said.out),
    )


def _other(document: Document[ProjectFile], number: int) -> Path:
    """Return a further folder; an error for one that is not there or holds no recipes."""
    written = document.model.recipes[number]
    folder = _below(document.path.parent, written)
    if not any((folder / name).is_dir() for name in RECIPE_FOLDERS):
        there = f"has neither {' nor '.join(RECIPE_FOLDERS)}" if folder.is_dir() else "is not there"
        raise document.error_at(("recipes", number), f"recipes[{number}]: the folder {folder} {there}")
    return folder


def _packages() -> list[Path]:
    """Return the folders of installed packages that are laid out as projects (entry points ``projects``)."""
    folders = []
    for name, module in extensions("projects").items():
        if not (paths := getattr(module, "__path__", ())):
            raise HarnessError(
                f"projects: {name!r} is {module!r}, which is no package with a folder",
                f"let the entry point name the package in whose folder {', '.join(RECIPE_FOLDERS)} are",
            )
        folders.append(Path(next(iter(paths))).resolve())
    return folders


def _below(here: Path, written: str) -> Path:
    """Return the folder that a text means, without links or ``..`` on the way."""
    return (here / Path(written).expanduser()).resolve()


def _unique(roots: list[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(root.resolve() for root in roots))
