# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the files of projects and the cache are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import HarnessError

PROJECT_FILE = "harness.toml"
"""The file that makes a folder a project."""

PACKAGE = Path(__file__).resolve().parent
"""The folder of the installed package ``harness``, or that of a checkout."""
_INSTALLED = PACKAGE / "_project"
SHIPPED = _INSTALLED if _INSTALLED.is_dir() else PACKAGE.parent
"""The folder of the shipped project (recipes, guests, QEMU's patches, scenarios): inside the installed
package, or the checkout. Nothing but `harness update` in a checkout writes there."""


@dataclass(frozen=True)
class Project:
    """A project: the folders in which files are looked up, the own one first, the shipped one last.

    All of them are laid out in the same way: ``ovmf-builds/``, ``guest-images/``, a lock file. A project adds
    to what the later ones have and replaces nothing: a name that two of them have is a mistake. ``file`` is
    its ``harness.toml``; None: the run has only what is shipped. Scenarios are in the folder ``scenarios``,
    results go to the folder ``out``.
    """

    roots: tuple[Path, ...]
    name: str = ""
    file: Path | None = None
    scenarios: Path = Path("scenarios")
    out: Path = Path("out")

    @property
    def own(self) -> Path | None:
        """The folder whose lock file may be renewed; None when all of it came with the installation."""
        if self.file is not None:
            return self.file.parent
        return self.roots[-1] if self.roots[-1] != _INSTALLED else None

    def one(self, path: str) -> Path:
        """Return the file or folder that only one root may have; HarnessError when two or none have it."""
        found = [root / path for root in self.roots if (root / path).exists()]
        if not found:
            raise HarnessError(
                f"there is no {path} in {', '.join(map(str, self.roots))}",
                f"install the harness anew, or leave `shipped = false` out of {PROJECT_FILE}",
            )
        if len(found) > 1:
            raise taken(found[0], found[1])
        return found[0]

    def files(self, folder: str) -> dict[str, Path]:
        """Return the files below a folder of all roots, by their paths in it, in the order of these.

        HarnessError for a path that two roots have.
        """
        found: dict[str, Path] = {}
        for root in reversed(self.roots):
            base = root / folder
            for path in base.rglob("*"):
                name = path.relative_to(base).as_posix()
                if path.is_file() and found.setdefault(name, path) != path:
                    raise taken(path, found[name])
        return dict(sorted(found.items(), key=lambda item: PurePosixPath(item[0])))


SHIPPED_PROJECT = Project((SHIPPED,), name="ovmf-acceptance", scenarios=SHIPPED / "scenarios")
"""What there is where no project of one's own is."""


def taken(own: Path, other: Path) -> HarnessError:
    """Make the error for a file that two roots have."""
    return HarnessError(
        f"{own}: there is {other}, too",
        "rename the own one: a project adds to what others have and replaces nothing",
    )


def project_file(start: Path) -> Path | None:
    """Return the nearest ``harness.toml`` in or above a folder."""
    here = start.resolve()
    return next((path for folder in (here, *here.parents) if (path := folder / PROJECT_FILE).is_file()), None)


def cache_dir() -> Path:
    """Return the cache: ``HARNESS_CACHE``, else below ``XDG_CACHE_HOME``, else below ``~/.cache``."""
    if override := os.environ.get("HARNESS_CACHE"):
        return Path(override).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "ovmf-acceptance"
