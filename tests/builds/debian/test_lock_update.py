# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from harness.debian.index import PackageQuery
from harness.debian.lock_file import Lock, update
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from tests.support.deb_repo import DebRepo

HELLO = PackageQuery("hello", "one")
TOOL = PackageQuery("tool", "one", source=True)


def test_update_and_load(
    repo: DebRepo, apt: AptRoot, new_apt: Callable[..., AptRoot], tmp_path: Path
) -> None:
    path = tmp_path / "debian.lock.yaml"
    repo.add_deb("hello", "1", {})
    repo.add_source("tool", "1.0-1", {"tool_1.0.orig.tar.gz": {"tool/x": "x"}})
    repo.publish()
    first = update([TOOL, HELLO, HELLO], apt, path)
    assert [(query.key, old, new.version) for query, old, new in first] == [
        ("one:hello", None, "1"),
        ("one:src:tool", None, "1.0-1"),
    ]
    lock = Lock.load(path)
    assert lock.resolved(HELLO) == lock.require(HELLO) == apt.resolve(HELLO)
    assert lock.require(TOOL).architecture == "source"
    assert list(yaml.safe_load(path.read_text())) == ["one:hello", "one:src:tool"]

    repo.add_deb("hello", "2", {})
    repo.publish()
    # A normal run keeps to the lock though the mirror has a newer one …
    assert "hello 1" in f"hello {Lock.load(path).require(HELLO).version}"
    assert new_apt().download(lock.require(HELLO)).provenance["inputs"]["version"] == "1"
    # … and an update takes it, at once whatever the index's age.
    ((query, old, new),) = update([TOOL, HELLO], new_apt(), path)
    assert old is not None
    assert (query, old.version, new.version) == (HELLO, "1", "2")
    before = path.stat().st_mtime_ns
    assert update([HELLO, TOOL], new_apt(), path) == []
    assert path.stat().st_mtime_ns == before


def test_failed_update_leaves_the_file(repo: DebRepo, apt: AptRoot, tmp_path: Path) -> None:
    path = tmp_path / "debian.lock.yaml"
    repo.add_deb("hello", "1", {})
    repo.add_source("other", "1", {})
    repo.publish()
    update([HELLO], apt, path)
    before = path.read_bytes()
    with pytest.raises(HarnessError, match="one:src:tool"):
        update([HELLO, TOOL], apt, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.glob("*lock*")] == [path.name]


def test_damaged_file_is_repaired_by_an_update(repo: DebRepo, apt: AptRoot, tmp_path: Path) -> None:
    path = tmp_path / "debian.lock.yaml"
    path.write_text("<<<<<<< conflict")
    repo.add_deb("hello", "1", {})
    repo.publish()
    assert len(update([HELLO], apt, path)) == 1
    assert Lock.load(path).require(HELLO).version == "1"
