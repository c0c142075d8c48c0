# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Objects that other packages add, by entry points of packages made up here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.extensions import extensions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder from which packages are imported."""
    monkeypatch.syspath_prepend(tmp_path)
    extensions.cache_clear()
    yield tmp_path
    extensions.cache_clear()


def install(site: Path, package: str, *entries: str) -> None:
    info = site / (package.replace("-", "_") + "-1.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ovmf_acceptance.toys]\n" + "\n".join(entries) + "\n")


def test_objects_by_name(site: Path) -> None:
    (site / "toy_one.py").write_text("BALL = 'round'\nDICE = 'square'\n")
    install(site, "toy-one", "dice = toy_one:DICE", "ball = toy_one:BALL")
    assert list(extensions("toys").items()) == [("ball", "round"), ("dice", "square")]


def test_none(site: Path) -> None:
    assert site.is_dir()
    assert extensions("toys") == {}


def test_what_fails_to_import_is_named_with_its_package(site: Path) -> None:
    (site / "toy_bad.py").write_text("1 / 0\n")
    install(site, "toy-bad", "ball = toy_bad:BALL")
    with pytest.raises(HarnessError, match=r"'ball' \(toy_bad:BALL of toy-bad\).*ZeroDivisionError"):
        extensions("toys")


def test_two_packages_with_one_name(site: Path) -> None:
    (site / "toy_one.py").write_text("BALL = 1\n")
    install(site, "toy-one", "ball = toy_one:BALL")
    install(site, "toy-two", "ball = toy_one:BALL")
    with pytest.raises(HarnessError, match=r"'ball' comes from toy-(one|two) and from toy-(one|two)"):
        extensions("toys")
