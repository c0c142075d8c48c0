# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where edk2's sources come from: Debian's source package, a git commit, a developer's working tree."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.debian.source import source, unpack
from harness.errors import HarnessError, HostError
from harness.paths import cache_dir
from harness.store import file_tree
from harness.store.source_files import SourceTree, stored_tree, working_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.recipes.firmware import DebianSource, FirmwareRecipe, Git
    from harness.store.entries import Artifact

KIND = "edk2-source"
TOOLS = "BaseTools"
"""What every edk2 tree has."""
_TAIL = 5  # lines of git's complaint


@dataclass(frozen=True)
class Edk2Source:
    """A recipe's sources. ``content`` names exactly what they hold, before anything is fetched.

    ``line`` names where they come from, whatever they hold at the moment: what shares one warm work tree.
    """

    line: str
    content: str
    open: Callable[[], SourceTree]


def edk2_source(recipe: FirmwareRecipe, apt: AptRoot, lock: Lock) -> Edk2Source:
    """Return a recipe's sources; HarnessError for a package that is not locked, or a folder not there."""
    chosen = recipe.source
    if chosen.debian_source is not None:
        return _debian(chosen.debian_source, apt, lock)
    if chosen.git is not None:
        return _git(chosen.git, recipe, apt)
    assert chosen.tree is not None, "images have no sources"
    return tree_source(recipe.path(chosen.tree.path))


def tree_source(path: Path) -> Edk2Source:
    """Return a working tree's sources as they are now; HarnessError for a folder that is not edk2's.

    Other folders are refused before they are read and copied: one may be a home or a whole disk.
    """
    root = path.resolve()
    if root.is_dir() and not (root / TOOLS).is_dir():
        raise HarnessError(f"{root}: no edk2 sources, it has no folder {TOOLS}", "name edk2's topmost folder")
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    found = working_tree(root, cache_dir() / "edk2" / f"{digest}.looks.json")
    return Edk2Source(f"tree {root}", f"tree {found.digest}", lambda: found)


def commit_of(url: str, ref: str) -> str:
    """Return the commit that a branch, a tag or a commit's digits mean in a repository now.

    HarnessError for none: an abbreviated commit is known to a repository on this host alone.
    """
    if re.fullmatch(r"[0-9a-f]{40}", ref):
        return ref
    if ref.startswith("-") or url.startswith("-"):
        raise HarnessError(f"{url}@{ref}: no name of a commit begins with -")
    if Path(url).is_dir():
        said = _run(
            ["git", "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], Path(url), f"{url}: no {ref}"
        )
        return said.strip()
    listed = _run(["git", "ls-remote", "--", url, ref, f"{ref}^{{}}"], Path.cwd())
    found = [line.split("\t") for line in listed.splitlines()]
    # A tag's own object comes first, and the commit that it means last.
    if not found:
        raise HarnessError(f"{url}: no branch or tag {ref}", "name one, or a whole commit of 40 digits")
    return found[-1][0]


def _debian(chosen: DebianSource, apt: AptRoot, lock: Lock) -> Edk2Source:
    wanted = lock.require(chosen.query())
    skipped = chosen.skip_patches
    inputs = {
        "package": wanted.package,
        "version": wanted.version,
        "sha256": wanted.sha256,
        "skip-patches": skipped,
    }

    def build(directory: Path) -> None:
        tarballs = source(apt, wanted.package, wanted.version, suite=wanted.suite, sha256=wanted.sha256)
        apt.progress(f"unpacking {wanted.package} {wanted.version}")
        _fill(directory, lambda work: unpack(tarballs, work, skipped))

    def open_tree() -> SourceTree:
        return _stored(apt.store.get(KIND, wanted.package, inputs, build, apt.progress, tools=("patch",)))

    without = f" without {', '.join(skipped)}" if skipped else ""
    name = f"{wanted.package} {wanted.version}{without}"
    return Edk2Source(f"debian {name}", f"debian {name} {wanted.sha256}", open_tree)


def _git(chosen: Git, recipe: FirmwareRecipe, apt: AptRoot) -> Edk2Source:
    local = recipe.path(chosen.url)
    url = str(local) if "://" not in chosen.url and local.exists() else chosen.url
    modules = chosen.submodules if isinstance(chosen.submodules, bool) else list(chosen.submodules)
    inputs = {"commit": chosen.commit, "submodules": modules}

    def build(directory: Path) -> None:
        apt.progress(f"fetching {chosen.commit[:12]} from {url}")
        _fill(directory, lambda work: _checkout(chosen, url, work))

    def open_tree() -> SourceTree:
        return _stored(apt.store.get(KIND, "git", inputs, build, apt.progress, tools=("git",)))

    return Edk2Source(f"git {url}", f"git {chosen.commit} submodules {modules}", open_tree)


def _fill(directory: Path, make: Callable[[Path], None]) -> None:
    """Let ``make`` create a folder that does not exist yet, and move what is in it to ``directory``."""
    work = directory / ".work"
    make(work)
    for path in work.iterdir():
        path.rename(directory / path.name)
    work.rmdir()


def _stored(artifact: Artifact) -> SourceTree:
    return stored_tree(artifact.path, artifact.provenance["files"])


def _checkout(chosen: Git, url: str, work: Path) -> None:
    """Check out one commit without its history, where the server gives single commits, and no ``.git``."""
    work.mkdir()
    _run(["git", "init", "--quiet"], work)
    try:
        _run(["git", "fetch", "--quiet", "--depth=1", url, chosen.commit], work)
    except HarnessError:
        _run(["git", "fetch", "--quiet", "--tags", url, "+refs/*:refs/remotes/all/*"], work)
    _run(["git", "checkout", "--quiet", "--detach", chosen.commit], work)
    if chosen.submodules is not False:
        # Addresses of submodules may be relative to the repository's own.
        _run(["git", "config", "remote.origin.url", url], work)
        # git refuses submodules from local folders unless the whole repository is one as well.
        local = ["-c", "protocol.file.allow=always"] if Path(url).is_dir() else []
        paths = [] if chosen.submodules is True else list(chosen.submodules)
        deep = ["submodule", "update", "--quiet", "--init", "--recursive", "--depth=1", "--", *paths]
        _run(["git", *local, *deep], work)
    for inside in [*work.rglob(".git")]:
        file_tree.remove(inside)


def _run(argv: Sequence[str], directory: Path, what: str = "") -> str:
    """Run git and return what it says; HarnessError with its complaint, or ``what``."""
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False, env=quiet)
    except FileNotFoundError as error:
        raise HostError("git is not installed", "apt-get install git") from error
    if done.returncode:
        said = "\n  ".join(done.stderr.strip().splitlines()[-_TAIL:])
        if what:
            raise HarnessError(what, said or "check the branch, tag or commit")
        raise HarnessError(f"{' '.join(argv)} failed\n  {said}", "check the recipe's url, commit, submodules")
    return done.stdout
