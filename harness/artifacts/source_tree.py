# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Source trees by content: which files they have, and how a working tree is listed without being touched."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts import tree
from harness.artifacts.inputs import canonical
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LINK = "link:"
"""Begins the content id of a symbolic link, its target follows; that of a file is its SHA-256."""
_OWN = {".git", "__pycache__", "Build", ".pytest_cache", ".mypy_cache"}
"""Folders that a plain tree's builds make; a git tree says itself what it ignores."""
_FRESH = 2_000_000_000  # ns: a file younger than this may change again without its time showing it


@dataclass(frozen=True)
class SourceTree:
    """Files by relative path with their content ids, below ``root``. Empty folders do not count."""

    root: Path
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 over all paths and contents."""
        return hashlib.sha256(canonical(self.files).encode()).hexdigest()

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None when there is no such file."""
        return (self.root / name).read_bytes() if name in self.files else None


def stored_tree(root: Path, listed: Mapping[str, Mapping[str, str]]) -> SourceTree:
    """Make a tree of a store entry from the files that its provenance lists."""
    files = {
        name: str(entry["sha256"]) if "sha256" in entry else f"{LINK}{entry['link']}"
        for name, entry in listed.items()
    }
    return SourceTree(root, files)


def working_tree(root: Path, memory: Path) -> SourceTree:
    """Look at a developer's tree, dirty as it is; ``memory`` keeps digests of files that did not change.

    A git tree gives what git does not ignore, submodules included; another tree everything but what builds
    leave. Nothing in ``root`` is written to, git's index neither. HarnessError when it is no folder.
    """
    if not root.is_dir():
        raise HarnessError(f"{root}: no such folder", "a tree: source names a folder with edk2's sources")
    known = _remembered(memory)
    files: dict[str, str] = {}
    looks: dict[str, list[int | str]] = {}
    now = time.time_ns()
    for name in sorted(_names(root)):
        path = root / name
        try:
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                files[name] = f"{LINK}{path.readlink()}"
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            look: list[int | str] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            before = known.get(name)
            same = before is not None and before[:-1] == look
            files[name] = str(before[-1]) if before and same else tree.digest_file(path)
        except FileNotFoundError:
            continue  # deleted, and git has not been told
        if now - status.st_mtime_ns > _FRESH:
            looks[name] = [*look, files[name]]
    if looks != known:
        memory.parent.mkdir(parents=True, exist_ok=True)
        tree.write_atomically(memory, json.dumps(looks))
    return SourceTree(root, files)


def _remembered(memory: Path) -> dict[str, list[int | str]]:
    try:
        value = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _names(root: Path) -> Iterator[str]:
    if (root / ".git").exists():
        yield from _git_names(root)
        return
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _OWN]
        below = Path(folder).relative_to(root)
        for name in files:
            yield (below / name).as_posix()
        for name in folders:
            if Path(folder, name).is_symlink():
                yield (below / name).as_posix()


def _git_names(root: Path) -> Iterator[str]:
    """List what git tracks or would add; a submodule is a folder of its own to git."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise HarnessError(f"git cannot list {root}: {said}", "is it a whole git work tree?")
    for raw in dict.fromkeys(done.stdout.split(b"\0")):
        name = os.fsdecode(raw).rstrip("/")
        if not name:
            continue
        path = root / name
        if path.is_dir() and not path.is_symlink():
            yield from (f"{name}/{inner}" for inner in _names(path))
        else:
            yield name
