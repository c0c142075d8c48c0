# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The patched QEMU as a git tree to work in, and the way back to patches and files.

The tree's first commit is Debian's source (tag ``debian-source``), the second adds what is laid over it, the
folder ``files`` (tag ``own-files``), then comes one commit a patch. Back, what Debian's source has not is a
file, and every commit since ``own-files`` that changes something else is a patch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.qemu import lay_files_over, own_files, patches, unpack_source
from harness.errors import HarnessError, HostError
from harness.store import file_tree

if TYPE_CHECKING:
    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.recipes.qemu import QemuRecipe

SOURCE, FILES = "debian-source", "own-files"
"""Tags of the tree's first two commits."""
_BUILT = "/build/\n/subprojects/.wraplock\n"
"""What compiling leaves in the tree."""
_NOBODY = {
    "GIT_AUTHOR_NAME": "harness",
    "GIT_AUTHOR_EMAIL": "harness@localhost",
    "GIT_COMMITTER_NAME": "harness",
    "GIT_COMMITTER_EMAIL": "harness@localhost",
}
_FORMAT = ("--zero-commit", "--no-signature", "--no-numbered", "--abbrev=8", "--no-renames", "--quiet")
"""Of ``git format-patch``: what depends on neither the tree nor the version of git."""


def make_tree(recipe: QemuRecipe, apt: AptRoot, lock: Lock, folder: Path, tree: Path) -> None:
    """Make the git tree of ``folder`` (``qemu-builds/``) in ``tree``, which must not exist.

    Raises HarnessError where something is, and for a patch that does not apply; what was made stays then, to
    mend the patch in.
    """
    if tree.exists():
        raise HarnessError(f"{tree} exists already", "name another folder, or remove that one")
    unpack_source(recipe, apt, lock, tree)
    _git(tree, "init", "--quiet")
    (tree / ".git/info/exclude").write_text(_BUILT)
    _commit(tree, f"{recipe.package}, as Debian has it", SOURCE)
    lay_files_over(tree, folder)
    _commit(tree, "The emulation's own files", FILES)
    for patch in patches(folder):
        apt.progress(patch.name)
        try:
            _git(tree, "am", "--quiet", "--keep-non-patch", str(patch.absolute()))
        except HarnessError as error:
            raise HarnessError(
                f"{patch.name} does not apply: {error.what}",
                f"mend it in {tree}: git am --show-current-patch=diff, then git add and git am --continue",
            ) from error


def export_tree(tree: Path, folder: Path) -> tuple[str, ...]:
    """Write the tree's files and patches to ``folder``; return the paths there that changed, or are gone.

    Raises HarnessError for a tree that ``make_tree`` did not make, or with changes that are not committed.
    """
    _refuse_unready(tree)
    added = ("--no-renames", "--name-only", "--diff-filter=A")
    own = [Path(name) for name in _names(tree, "diff", *added, SOURCE, "HEAD")]
    ever = {*_names(tree, "log", "--format=", *added, f"{SOURCE}..HEAD")}
    ever -= {*_names(tree, "ls-tree", "-r", "--name-only", SOURCE)}
    excluded = (f":(exclude,top,literal){name}" for name in sorted(ever))
    with tempfile.TemporaryDirectory(prefix="export-", dir=folder) as name:
        made = Path(name)
        (made / "patches").mkdir()
        _git(
            tree,
            "format-patch",
            *_FORMAT,
            "-o",
            str(made / "patches"),
            f"{FILES}..HEAD",
            "--",
            ".",
            *excluded,
        )
        for path in own:
            (made / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (made / "files" / path).write_bytes(_bytes(tree, "show", f"HEAD:{path}"))
        before, after = _digests(folder), _digests(made)
        for part in ("patches", "files"):
            file_tree.remove(folder / part)
            if (made / part).exists():
                shutil.move(made / part, folder / part)
    return tuple(sorted(path for path in before | after if before.get(path) != after.get(path)))


def _refuse_unready(tree: Path) -> None:
    if not (tree / ".git").exists() or not {SOURCE, FILES} <= {*_names(tree, "tag")}:
        raise HarnessError(f"{tree} is no tree of `harness qemu tree`", "make one, and work in it")
    if dirty := _names(tree, "status", "--porcelain"):
        raise HarnessError(
            f"{tree} has changes that are in no commit: {', '.join(line[3:] for line in dirty)}",
            "commit them, each to the patch that it belongs to: git commit --fixup=COMMIT FILE…, then "
            f"git rebase -i --autosquash {FILES}",
        )
    subjects = _names(tree, "log", "--format=%s", f"{FILES}..HEAD")
    if late := [subject for subject in subjects if subject.startswith(("fixup!", "squash!", "amend!"))]:
        raise HarnessError(
            f"{tree} has a commit that belongs to another: {late[0]}", f"git rebase -i --autosquash {FILES}"
        )


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): file_tree.digest_file(path)
        for path in (*patches(folder), *(folder / "files" / each for each in own_files(folder)))
    }


def _commit(tree: Path, subject: str, tag: str) -> None:
    _git(tree, "add", "--all", "--force", ".")
    _git(tree, "commit", "--quiet", "--no-verify", "--message", subject)
    _git(tree, "tag", tag)


def _names(tree: Path, *words: str) -> list[str]:
    return _bytes(tree, *words).decode("utf-8", "replace").splitlines()


def _git(tree: Path, *words: str) -> None:
    _bytes(tree, *words)


def _bytes(tree: Path, *words: str) -> bytes:
    """Run git without the user's own settings, so that every machine writes the same patches."""
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    author = {} if words[0] == "am" else _NOBODY
    committer = {key: value for key, value in _NOBODY.items() if "COMMITTER" in key}
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), *words],
            capture_output=True,
            check=False,
            env={**os.environ, **settings, **committer, **author},
        )
    except FileNotFoundError as error:
        raise HostError("git is not installed", "install the package git") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise HarnessError(f"git {words[0]} failed in {tree}: {said[-1] if said else 'it says nothing'}")
    return done.stdout
