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
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.store import file_tree
from harness.store.inputs import canonical

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
    for name, status in sorted(_entries(root), key=itemgetter(0)):
        path = f"{root}/{name}"
        try:
            if stat.S_ISLNK(status.st_mode):
                files[name] = f"{LINK}{Path(path).readlink()}"
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            look: list[int | str] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            before = known.get(name)
            same = before is not None and before[:-1] == look
            files[name] = str(before[-1]) if before and same else file_tree.digest_file(Path(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HarnessError(f"{path}: {error.strerror}", "the whole tree must be readable") from error
        if now - status.st_mtime_ns > _FRESH:
            looks[name] = [*look, files[name]]
    if looks != known:
        memory.parent.mkdir(parents=True, exist_ok=True)
        file_tree.write_atomically(memory, json.dumps(looks))
    return SourceTree(root, files)


def _remembered(memory: Path) -> dict[str, list[int | str]]:
    try:
        value = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _entries(root: Path, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Yield paths with their status, ``below`` put before them. A submodule is a folder of its own to git.

    Some ten thousand files are looked at even when nothing is to be built: paths are texts here.
    """
    names = _git_names(root) if (root / ".git").exists() else _plain_names(root)
    for name in names:
        try:
            status = os.lstat(f"{root}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            continue  # deleted, and git does not know yet
        if stat.S_ISDIR(status.st_mode):
            yield from _entries(root / name, f"{below}{name}/")
        else:
            yield f"{below}{name}", status


def _plain_names(root: Path) -> Iterator[str]:
    start = len(f"{root}/")
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _OWN]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (f"{folder}/{name}"[start:] for name in (*files, *links))


def _git_names(root: Path) -> Iterator[str]:
    """Yield what git tracks or would add."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise HarnessError(f"git cannot list {root}: {said}", "is it a whole git work tree?")
    names = dict.fromkeys(os.fsdecode(raw).rstrip("/") for raw in done.stdout.split(b"\0"))
    return (name for name in names if name)
