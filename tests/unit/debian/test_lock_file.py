# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.debian.index import PackageQuery
from harness.debian.lock_file import Lock
from harness.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = """\
one:hello:
  package: hello
  version: '1'
  architecture: all
  suite: one
  sha256: {sha256}
  size: {size}
  filename: pool/x.deb
"""


def test_absent_file_is_empty(tmp_path: Path) -> None:
    lock = Lock.load(tmp_path / "none.yaml")
    query = PackageQuery("hello", "one")
    assert lock.resolved(query) is None
    with pytest.raises(HarnessError, match=r"no version for one:hello\n.*`harness update`"):
        lock.require(query)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[", "not YAML"),
        ("- x\n", "not a mapping"),
        ("one:hello: 3\n", "one:hello must have exactly package,"),
        (ENTRY.format(sha256="aa", size="1") + "  extra: x\n", "one:hello must have exactly"),
        (ENTRY.format(sha256="12", size="1"), "one:hello: sha256 must be text"),
        (ENTRY.format(sha256="aa", size="many"), "one:hello: size must be"),
    ],
)
def test_damaged_file(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "debian.lock.yaml"
    path.write_text(text)
    with pytest.raises(HarnessError, match=why) as caught:
        Lock.load(path)
    assert str(path) in caught.value.what
    assert "harness update" in caught.value.hint


def test_good_file(tmp_path: Path) -> None:
    path = tmp_path / "debian.lock.yaml"
    path.write_text(ENTRY.format(sha256="aa", size="1"))
    assert Lock.load(path).require(PackageQuery("hello", "one")).sha256 == "aa"
