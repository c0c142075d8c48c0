# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A warm work tree: sources that follow each request, next to the outputs of earlier builds.

Layout below ``root``: ``source/`` (sources, and what builds make among them), ``state.json`` (which file
holds what), ``building`` (there while sources or outputs are in motion; its time is the beginning of that),
``whole`` (there when all outputs are of the sources before these changed).

make decides by times what to build again, so a file is written only if its content differs, and then it gets
the present time. A build that does not come to a good end may leave outputs that look finished and are not
(a compiler that is killed leaves half an object file, newer than its source). ``building`` is still there
then, and the next user removes all outputs that are younger, together with the module that they belong to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.store import file_tree
from harness.store.leftovers import end_processes
from harness.store.source_files import LINK, SourceTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Look = tuple[int, int]
"""A file's size in bytes and its mtime in ns."""
_MODULE = "GNUmakefile"
"""Stands in the output folder of every module that edk2 builds."""
_STAMP = "AutoGenTimeStamp"
"""Says when a module's makefile was generated; without it that is done again, writing only what differs."""


@dataclass(frozen=True)
class WorkTree:
    """The warm work tree at ``root``; whoever uses it holds a lock on it."""

    root: Path

    @property
    def source(self) -> Path:
        """The folder of the source."""
        return self.root / "source"

    @property
    def mark(self) -> str:
        """A setting for the environment of what builds here: its children may outlive it.

        It tells this folder from every other, also from one of the same name in another mount namespace.
        """
        status = self.root.stat()
        return f"HARNESS_WORK_TREE={status.st_dev}:{status.st_ino}"

    @property
    def whole(self) -> Path:
        """A file that a builder makes once all outputs are of the sources; gone after a build that failed."""
        return self.root / "whole"

    @property
    def _state(self) -> Path:
        return self.root / "state.json"

    @property
    def _marker(self) -> Path:
        return self.root / "building"

    @contextlib.contextmanager
    def prepared(self, wanted: SourceTree, overlay: Mapping[str, bytes | None]) -> Iterator[frozenset[str]]:
        """Bring the sources to ``wanted`` with ``overlay`` on top; yields the names of files that changed.

        Build inside the block: if it raises, or never ends, its outputs are not trusted.
        """
        self._recover()
        self.source.mkdir(parents=True, exist_ok=True)
        self._marker.touch()
        yield self._sync(wanted, overlay)
        self._marker.unlink()

    def _recover(self) -> None:
        """Remove what a build that did not end well has made; without a state there is nothing to keep."""
        if self._marker.exists():
            end_processes(self.mark)
            self.whole.unlink(missing_ok=True)
        sources = self._load()
        if not sources:
            file_tree.remove(self.source)
            self._marker.unlink(missing_ok=True)
            self.whole.unlink(missing_ok=True)
        if not self._marker.exists():
            return
        since = self._marker.stat().st_mtime_ns
        for path in _younger(self.source, since):
            if path.relative_to(self.source).as_posix() not in sources and path.exists():
                file_tree.remove(path if path.name == _STAMP else _module_of(path, self.source) or path)

    def _load(self) -> dict[str, tuple[str, Look | None]]:
        """Read the state; an absent or damaged one is empty, and then nothing in the tree is of use."""
        try:
            read = json.loads(self._state.read_bytes())
            return {name: (content, tuple(look) if look else None) for name, (content, look) in read.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _sync(self, wanted: SourceTree, overlay: Mapping[str, bytes | None]) -> frozenset[str]:
        files = dict(wanted.files)
        for name, content in overlay.items():
            if content is None:
                files.pop(name, None)
            else:
                files[name] = hashlib.sha256(content).hexdigest()
        have = self._load()
        stale = [name for name, content in files.items() if not self._holds(name, content, have)]
        gone = [name for name in have if name not in files]
        # Whoever comes after a death in mid-way must not take these for known.
        self._save({**have, **dict.fromkeys((*stale, *gone), ("", None))})
        for name in gone:
            file_tree.remove(self.source / name)
        for name in stale:
            self._write(name, files[name], wanted, overlay.get(name))
        self._save({name: (content, _look(self.source / name)) for name, content in files.items()})
        return frozenset((*stale, *gone))

    def _holds(self, name: str, content: str, have: Mapping[str, tuple[str, Look | None]]) -> bool:
        """Return whether a file has this content; reads it only when its look has changed."""
        path = self.source / name
        known, look = have.get(name, ("", None))
        now = _look(path)
        if now is None:
            return False
        if look is not None and look == now:
            return known == content
        return _content(path) == content

    def _write(self, name: str, content: str, wanted: SourceTree, patched: bytes | None) -> None:
        path = self.source / name
        file_tree.remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith(LINK):
            path.symlink_to(content.removeprefix(LINK))
            return
        origin = wanted.root / name
        data = patched if patched is not None else origin.read_bytes()
        if hashlib.sha256(data).hexdigest() != content:
            raise HarnessError(f"{origin} was changed while it was read", "ask for the firmware again")
        path.write_bytes(data)
        if name in wanted.files and origin.stat().st_mode & stat.S_IXUSR:
            path.chmod(0o755)

    def _save(self, state: Mapping[str, tuple[str, Look | None]]) -> None:
        file_tree.write_atomically(self._state, json.dumps(state))


def _look(path: Path) -> Look | None:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size, status.st_mtime_ns


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"{LINK}{path.readlink()}"
    return file_tree.digest_file(path) if path.is_file() else ""


def _younger(root: Path, since: int) -> Iterator[Path]:
    """Yield the files below ``root`` that are not older than ``since`` (mtime in ns)."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime_ns >= since:
                    yield path


def _module_of(path: Path, root: Path) -> Path | None:
    """Return the output folder of the module that a file belongs to; None when there is no such module."""
    for folder in path.parents:
        if folder == root:
            return None
        if (folder / _MODULE).is_file() and "Build" in folder.relative_to(root).parts:
            return folder
    return None
