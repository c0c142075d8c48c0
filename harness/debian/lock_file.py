# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The lock file ``debian.lock.yaml``: which exact package answers each recipe's query.

Runs use what the file says and nothing else; ``harness update`` asks the mirror anew and rewrites it.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import yaml

from harness.debian.index import PackageQuery, PackageVersion
from harness.documents.nodes import SAFE_LOADER
from harness.errors import HarnessError
from harness.store import file_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.debian.archive import AptRoot

LOCK_NAME = "debian.lock.yaml"
Change = tuple[PackageQuery, PackageVersion | None, PackageVersion]

_HEADER = """\
# SPDX-License-Identifier: BSD-2-Clause-Patent
# The Debian packages that the recipes resolve to. Written by `harness update`; commit it.
"""
_FIELDS = {field.name: int if field.name == "size" else str for field in dataclasses.fields(PackageVersion)}


@dataclasses.dataclass(frozen=True)
class Lock:
    """Resolved versions by query key; ``path`` is the file they came from."""

    path: Path
    versions: Mapping[str, PackageVersion]

    @classmethod
    def load(cls, path: Path) -> Lock:
        """Read a lock file; an absent one is empty. HarnessError for one that is damaged."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(path, {})
        except (OSError, UnicodeDecodeError) as error:
            raise HarnessError(f"{path} cannot be read: {error}") from error
        try:
            document = yaml.load(text, SAFE_LOADER)  # noqa: S506  # it is a safe loader, in C
        except yaml.YAMLError as error:
            raise HarnessError(
                f"{path} is not YAML: {error}", "write it anew with `harness update`"
            ) from error
        if not isinstance(document, dict):
            raise _damaged(path, "it is not a mapping of queries to packages")
        return cls(path, {str(key): _version(path, str(key), value) for key, value in document.items()})

    def before(self, other: Lock) -> Lock:
        """Return this lock with what ``other`` has for queries that this one lacks."""
        return Lock(self.path, {**other.versions, **self.versions})

    def resolved(self, query: PackageQuery) -> PackageVersion | None:
        """Return the locked version, or None when the query is not in the lock."""
        return self.versions.get(query.key)

    def require(self, query: PackageQuery) -> PackageVersion:
        """Return the locked version; HarnessError when the query is not in the lock."""
        version = self.resolved(query)
        if version is None:
            raise HarnessError(
                f"{self.path} has no version for {query.key}", "run `harness update` to resolve it"
            )
        return version


def update(
    queries: Iterable[PackageQuery],
    apt: AptRoot,
    path: Path,
    *,
    keep_others: bool = False,
    write: bool = True,
) -> list[Change]:
    """Resolve all queries on the mirror and rewrite the lock file; returns (query, old, new) of what changed.

    What the file says of other queries goes, or stays with ``keep_others``. Without ``write`` nothing is
    written. Raises HarnessError, and leaves the file as it was, when it cannot be written or one query has no
    answer.
    """
    if write and not os.access(path.parent, os.W_OK):  # told before minutes of asking
        raise HarnessError(
            f"{path} cannot be written",
            "renew it where you may write: a checkout, or a project of your own (`harness init`)",
        )
    try:
        old = Lock.load(path)
    except HarnessError:
        if keep_others:
            raise
        old = Lock(path, {})  # a damaged file is what an update repairs
    wanted = sorted(set(queries), key=lambda query: query.key)
    apt.update(sorted({query.suite for query in wanted}), force=True)
    resolved = {query: apt.resolve(query) for query in wanted}
    if write:
        others = old.versions if keep_others else {}
        write_lock(path, {**others, **{query.key: version for query, version in resolved.items()}})
    return [
        (query, old.resolved(query), version)
        for query, version in resolved.items()
        if old.resolved(query) != version
    ]


def write_lock(path: Path, versions: Mapping[str, PackageVersion]) -> None:
    """Write a lock file that holds these versions, by the keys of queries, unless it holds exactly them."""
    document = {key: dataclasses.asdict(version) for key, version in sorted(versions.items())}
    text = _HEADER + yaml.safe_dump(document, sort_keys=False, width=200)
    if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
        file_tree.write_atomically(path, text)


def _damaged(path: Path, why: str) -> HarnessError:
    return HarnessError(
        f"{path}: {why}", "restore it from version control, or write it anew with `harness update`"
    )


def _version(path: Path, key: str, value: object) -> PackageVersion:
    if not isinstance(value, dict) or set(value) != set(_FIELDS):
        raise _damaged(path, f"{key} must have exactly {', '.join(_FIELDS)}")
    wrong = [name for name, kind in _FIELDS.items() if type(value[name]) is not kind]
    if wrong:
        raise _damaged(path, f"{key}: {', '.join(wrong)} must be text (size: a whole number)")
    return PackageVersion(**value)
