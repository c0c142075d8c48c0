# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The content-addressed store: every artifact is built once per set of inputs, whole or not at all.

Layout below ``root``: ``<kind>/<name>-<first 16 digits of the key>/`` with the artifact's files and
``provenance.json``. Beside it, hidden: ``.<entry>.lock`` (held while building), ``.<entry>.seal`` (sizes and
times, so that a warm ``get`` need not read the files) and, during a build, ``.tmp-<entry>.<random>/``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, HostError
from harness.paths import cache_dir
from harness.progress import Progress, say
from harness.store import file_tree
from harness.store.carried import DISTRIBUTION, carried, carried_key
from harness.store.inputs import JSONValue, canonical, differences, digest_inputs
from harness.store.locks import held, held_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PROVENANCE = "provenance.json"
_KEY_DIGITS = 16
_FULL = 1 << 20  # bytes: a build that fails with less than this left failed for want of space


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A finished store entry: ``path`` is a directory whose files must not be written to."""

    path: Path
    kind: str
    name: str
    key: str
    provenance: dict[str, Any] = dataclasses.field(compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class _Entry:
    kind: str
    name: str
    key: str
    path: Path

    @property
    def lock(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock")

    @property
    def seal(self) -> Path:
        return self.path.with_name(f".{self.path.name}.seal")

    @property
    def temporary_prefix(self) -> str:
        return f".tmp-{self.path.name}."


@cache
def _harness_version() -> str:
    try:
        return metadata.version("ovmf-acceptance")
    except metadata.PackageNotFoundError:
        return "not installed"


def _host(tools: Sequence[str]) -> dict[str, Any]:
    """Describe the building host, with the first line that each of ``tools`` prints for ``--version``."""
    versions = {}
    for tool in tools:
        try:
            output = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
        except OSError:
            output = ""
        versions[tool] = output.partition("\n")[0] or "unknown"
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        system = "unknown"
    return {
        "system": system,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "tools": versions,
    }


def _load(path: Path) -> dict[str, Any] | None:
    """Read a JSON object from a file; None for a missing or damaged one."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


class Store:
    """Artifacts below ``root``; safe for any number of processes and threads at once."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else cache_dir() / "store"

    def get(
        self,
        kind: str,
        name: str,
        inputs: Mapping[str, JSONValue],
        build: Callable[[Path], None],
        progress: Progress = say,
        *,
        tools: Sequence[str] = (),
        made_with: Sequence[str] = (),
    ) -> Artifact:
        """Return the artifact for ``inputs``, built by ``build(directory)`` unless it is already there.

        ``build`` fills an empty directory, which is renamed afterwards: its result must not hold its own
        path. ``tools`` are programs whose versions go into the provenance. ``made_with`` names inputs that
        are the building host's: where all others are the same, what comes built serves (`carried`). Raises
        HarnessError when the disk is full or the cache cannot be written, and whatever ``build`` raises;
        nothing is left behind.
        """
        entry = self._entry(kind, name, inputs)
        if artifact := self.find(kind, name, inputs, made_with):
            return artifact
        with full_disk_told(self.root), held(entry.lock, f"{kind} {name}", progress):
            if artifact := self._finished(entry):
                return artifact
            if entry.path.exists():
                progress(f"{entry.path} is damaged and is made anew")
                file_tree.remove(entry.path)
            _sweep(entry)
            return _build(entry, inputs, build, tools)

    def find(
        self, kind: str, name: str, inputs: Mapping[str, JSONValue], made_with: Sequence[str] = ()
    ) -> Artifact | None:
        """Return the finished, undamaged artifact, else what comes built, else None; never builds."""
        entry = self._entry(kind, name, inputs)
        if (artifact := self._finished(entry)) or not made_with:
            return artifact
        found = carried(kind, name, carried_key(kind, inputs, made_with))
        return Artifact(found[0], kind, name, entry.key, found[1]) if found is not None else None

    def place(self, kind: str, name: str, inputs: Mapping[str, JSONValue]) -> Path:
        """Return the folder of an artifact, be it there or not."""
        return self._entry(kind, name, inputs).path

    def read(self, folder: Path) -> Artifact | None:
        """Return the artifact in a folder outside the store; None unless it is what its provenance says."""
        provenance = _load(folder / PROVENANCE)
        if provenance is None:
            return None
        try:
            kind, name, inputs = provenance["kind"], provenance["name"], provenance["inputs"]
            entry = self._entry(kind, name, inputs)
            files = file_tree.digest_tree(folder, frozenset({PROVENANCE}))
        except (KeyError, TypeError, ValueError, AttributeError, OSError, HarnessError):
            return None
        there = (provenance.get("key"), provenance.get("files"), folder.name, folder.parent.name)
        if there != (entry.key, files, entry.path.name, entry.path.parent.name):
            return None
        return Artifact(entry.path, kind, name, entry.key, provenance)

    def adopt(self, folder: Path, artifact: Artifact) -> bool:
        """Move a folder that `read` has found whole into its place; false when the store has the entry.

        The folder is on the store's own file system.
        """
        entry = _Entry(artifact.kind, artifact.name, artifact.key, artifact.path)
        with held(entry.lock, f"{entry.kind} {entry.name}", say):
            if self._finished(entry):
                return False
            file_tree.remove(entry.path)
            file_tree.make_read_only(folder)
            file_tree.flush(folder)
            _seal(folder, entry.seal)
            folder.rename(entry.path)
            file_tree.flush_one(entry.path.parent)
        return True

    def explain(
        self, kind: str, name: str, inputs: Mapping[str, JSONValue], made_with: Sequence[str] = ()
    ) -> str:
        """Why ``get`` would build: which input differs from the newest entry of the same kind and name."""
        entry = self._entry(kind, name, inputs)
        if found := self.find(kind, name, inputs, made_with):
            origin = "up to date" if found.path == entry.path else f"comes built, in {DISTRIBUTION}"
            return f"{kind} {name}: {origin} ({found.path})"
        if entry.path.exists():
            return f"{kind} {name}: damaged, will be made anew ({entry.path})"
        own = re.compile(re.escape(entry.path.name[:-_KEY_DIGITS]) + f"[0-9a-f]{{{_KEY_DIGITS}}}")
        older = [
            provenance
            for path in entry.path.parent.glob("*/" + PROVENANCE)
            if own.fullmatch(path.parent.name) and (provenance := _load(path))
        ]
        if not older:
            return f"{kind} {name}: never made before"
        newest = max(older, key=lambda provenance: str(provenance.get("built_at", "")))
        lines = differences(newest.get("inputs", {}), json.loads(canonical(inputs)))
        return "\n  ".join([f"{kind} {name}: inputs changed since {newest.get('built_at')}", *lines])

    def _entry(self, kind: str, name: str, inputs: Mapping[str, JSONValue]) -> _Entry:
        for noun in (kind, name):
            if not noun or noun.startswith("."):
                raise ValueError(f"{noun!r} cannot name a store entry")
        key = digest_inputs(kind, inputs)
        # No colon or comma: QEMU gives both a meaning in file names.
        readable = [re.sub(r"[^A-Za-z0-9._+~-]", "_", noun) for noun in (kind, name)]
        return _Entry(kind, name, key, self.root / readable[0] / f"{readable[1]}-{key[:_KEY_DIGITS]}")

    def _finished(self, entry: _Entry) -> Artifact | None:
        """Look at sizes and times; read the files only when those differ from the seal's."""
        provenance = _load(entry.path / PROVENANCE)
        if provenance is None or provenance.get("key") != entry.key:
            return None
        with contextlib.suppress(OSError):  # before the look: pruning sees that the entry is of use
            os.utime(entry.seal)
        seal = _load(entry.seal)
        try:
            if seal is None or seal.get("look") != file_tree.quick_look(entry.path):
                recorded = seal and seal.get("provenance")
                if recorded and recorded != file_tree.digest_file(entry.path / PROVENANCE):
                    return None
                if file_tree.digest_tree(entry.path, frozenset({PROVENANCE})) != provenance.get("files"):
                    return None
                with contextlib.suppress(OSError):  # a cache that may only be read stays usable
                    _seal(entry.path, entry.seal)
        except (OSError, HarnessError):
            return None
        return Artifact(entry.path, entry.kind, entry.name, entry.key, provenance)


@contextlib.contextmanager
def full_disk_told(root: Path) -> Iterator[None]:
    """Turn the system's "no space left" into a HarnessError that names ``root`` and the free space."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise disk_full(root) from error


def disk_full(root: Path, free: int | None = None) -> HostError:
    """Make the error for a full disk; ``free`` in bytes, if it was measured before things were removed."""
    if free is None:
        there = next(path for path in (root, *root.parents) if path.exists())
        free = shutil.disk_usage(there).free
    return HostError(
        f"no space left for {root}: {free / (1 << 20):.1f} MiB free",
        "free some space (old entries of the store may be deleted), or set HARNESS_CACHE to a larger disk",
    )


def _sweep(entry: _Entry) -> None:
    """Remove what killed builds of this kind left; a build is dead when nobody holds its lock."""
    for leftover in entry.path.parent.glob(".tmp-*"):
        if leftover.name.startswith(entry.temporary_prefix):
            file_tree.remove(leftover)  # the caller holds this entry's lock, so the builder is gone
            continue
        owner = leftover.name.removeprefix(".tmp-").rpartition(".")[0]
        with held_now(leftover.with_name(f".{owner}.lock")) as dead:
            if dead:
                file_tree.remove(leftover)


def _build(
    entry: _Entry, inputs: Mapping[str, JSONValue], build: Callable[[Path], None], tools: Sequence[str]
) -> Artifact:
    temporary = Path(tempfile.mkdtemp(prefix=entry.temporary_prefix, dir=entry.path.parent))
    try:
        started, clock = datetime.now(UTC), time.monotonic()
        build(temporary)
        duration = time.monotonic() - clock
        # Whoever may write to the store may take the entry away.
        temporary.chmod(0o755 | entry.path.parent.stat().st_mode & 0o022)
        provenance = {
            "kind": entry.kind,
            "name": entry.name,
            "key": entry.key,
            "inputs": json.loads(canonical(inputs)),
            "files": file_tree.digest_tree(temporary, frozenset({PROVENANCE})),
            "harness": _harness_version(),
            "built_at": started.isoformat(timespec="microseconds"),
            "duration_s": round(duration, 3),
            "host": _host(tools),
        }
        (temporary / PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
        file_tree.make_read_only(temporary)
        file_tree.flush(temporary)
        _seal(temporary, entry.seal)
        temporary.rename(entry.path)
        file_tree.flush_one(entry.path.parent)
    except BaseException as error:
        free = shutil.disk_usage(entry.path.parent).free
        file_tree.remove(temporary)
        # A program that the build ran reports a full disk in its own way.
        if isinstance(error, Exception) and (free < _FULL or "No space left on device" in str(error)):
            raise disk_full(entry.path, free) from error
        raise
    return Artifact(entry.path, entry.kind, entry.name, entry.key, provenance)


def _seal(path: Path, seal: Path) -> None:
    look = {"look": file_tree.quick_look(path), "provenance": file_tree.digest_file(path / PROVENANCE)}
    file_tree.write_atomically(seal, json.dumps(look))
