# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A new project of one's own: a folder with an example of each thing, from the shipped template."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.debian.lock_file import LOCK_NAME, Lock, write_lock
from harness.errors import HarnessError
from harness.paths import PROJECT_FILE, SHIPPED, SHIPPED_PROJECT
from harness.recipes.catalog import load_catalog
from harness.recipes.project import find_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.paths import Project

TEMPLATE = "contrib/project"
_NAME = 'name = "project"'
_LICENCE = re.compile(r"\A#+ ?SPDX-License-Identifier: .*\n")


def new_project(folder: Path) -> Project:
    """Make a project in a folder that is empty or not there yet, named as the folder.

    Its lock file has the packages that the shipped one has for the same recipes, so no network is needed.
    Raises HarnessError, and writes nothing, for a folder that holds something or cannot be made.
    """
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if next(folder.iterdir(), None) is not None:
            raise HarnessError(f"{folder} is not empty", "name a new folder, or an empty one")
        for name, text in _files(_slug(folder.name)):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HarnessError(
            f"{folder}: no project can be made there: {error.strerror}", "name a folder where you may write"
        ) from error
    project = find_project(folder)
    shipped = Lock.load(SHIPPED / LOCK_NAME)
    queries = load_catalog(project).queries(folder)
    write_lock(folder / LOCK_NAME, {query.key: shipped.require(query) for query in queries})
    return project


def _files(name: str) -> Iterator[tuple[str, str]]:
    """Yield the template's files with their texts; licence lines are the template's, not the user's."""
    for path, file in SHIPPED_PROJECT.files(TEMPLATE).items():
        if "__pycache__" not in path:  # which an installation makes
            text = _LICENCE.sub("", file.read_text(encoding="utf-8"))
            yield path, text.replace(_NAME, f'name = "{name}"') if path == PROJECT_FILE else text


def _slug(name: str) -> str:
    """Return a folder's name as a project's: lower-case letters, digits, hyphens, dots."""
    return re.sub(r"[^a-z0-9]+$|^[^a-z0-9]+", "", re.sub(r"[^a-z0-9._]+", "-", name.lower())) or "project"
