# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The exact packages of a root file system: resolved by apt, written to a lock file, fetched as one set.

A lock file has one line per package: name, version, architecture, SHA-256, size in bytes, and its path in the
archive. It is to a guest what ``debian.lock.yaml`` is to single packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.debian.index import PackageVersion
from harness.debian.suite import UPDATE_HINT
from harness.errors import HarnessError, HostError
from harness.store.file_tree import digest_file, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.recipes.guest import GuestRecipe
    from harness.store.inputs import JSONValue

_HEADER = """\
# SPDX-License-Identifier: BSD-2-Clause-Patent
# The Debian packages of the guest {name}. Written by `harness update`; commit it.
"""


def update_set(recipe: GuestRecipe, apt: AptRoot, *, write: bool = True) -> int:
    """Resolve the guest's packages on the mirror and write its lock file; returns how many lines are new.

    Without ``write`` nothing is written.
    """
    packages = apt.closure(recipe.suite, recipe.packages)
    lines = [_line(package) for package in sorted(packages, key=lambda package: package.package)]
    text = _HEADER.format(name=recipe.name) + "\n".join(lines) + "\n"
    old = recipe.lock_file.read_text(encoding="utf-8") if recipe.lock_file.exists() else ""
    if write and text != old:
        recipe.lock_file.parent.mkdir(exist_ok=True)
        write_atomically(recipe.lock_file, text)
    return len(set(lines).difference(old.splitlines()))


def load_set(recipe: GuestRecipe) -> tuple[PackageVersion, ...]:
    """Read the guest's lock file; HarnessError when it is missing, damaged, or lacks a package."""
    path = recipe.lock_file
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise HarnessError(f"{recipe.where}: there is no {path}", UPDATE_HINT) from None
    found = tuple(
        _package(path, number, line, recipe.suite)
        for number, line in enumerate(lines, start=1)
        if line and not line.startswith("#")
    )
    missing = set(recipe.packages) - {package.package for package in found}
    if missing:
        raise HarnessError(f"{recipe.where}: {path} lacks {', '.join(sorted(missing))}", UPDATE_HINT)
    return found


def fetch_set(name: str, packages: Iterable[PackageVersion], apt: AptRoot) -> Path:
    """Return a folder that holds exactly these .deb files, each checked by its digest."""
    packages = tuple(packages)
    inputs: dict[str, JSONValue] = {package.package: package.sha256 for package in packages}

    def build(directory: Path) -> None:
        apt.download_all(packages, directory)
        wanted = {package.sha256 for package in packages}
        there = {digest_file(path) for path in directory.iterdir()}
        if there != wanted:
            raise HostError(f"what apt fetched for {name} are not the packages of its lock file")

    return apt.store.get("debs", name, inputs, build, apt.progress, tools=("apt",)).path


def _line(package: PackageVersion) -> str:
    fields = (package.package, package.version, package.architecture, package.sha256, package.size)
    return " ".join(map(str, (*fields, package.filename)))


def _package(path: Path, number: int, line: str, suite: str) -> PackageVersion:
    match line.split():
        case [name, version, architecture, sha256, size, filename] if size.isdecimal() and len(sha256) == 64:
            return PackageVersion(name, version, architecture, suite, sha256, int(size), filename)
        case _:
            raise HarnessError(f"{path}:{number}: damaged", UPDATE_HINT)
