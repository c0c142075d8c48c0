# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Objects that other packages add, by entry points of packages made up here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.extensions import extensions
from tests.support.packages import install

if TYPE_CHECKING:
    from pathlib import Path


def test_objects_by_name(site: Path) -> None:
    (site / "toy_one.py").write_text("BALL = 'round'\nDICE = 'square'\n")
    install(site, "toy-one", "toys", "dice = toy_one:DICE", "ball = toy_one:BALL")
    assert list(extensions("toys").items()) == [("ball", "round"), ("dice", "square")]


def test_none(site: Path) -> None:
    assert site.is_dir()
    assert extensions("toys") == {}


def test_what_fails_to_import_is_named_with_its_package(site: Path) -> None:
    (site / "toy_bad.py").write_text("1 / 0\n")
    install(site, "toy-bad", "toys", "ball = toy_bad:BALL")
    with pytest.raises(HarnessError, match=r"'ball' \(toy_bad:BALL of toy-bad\).*ZeroDivisionError"):
        extensions("toys")


def test_two_packages_with_one_name(site: Path) -> None:
    (site / "toy_one.py").write_text("BALL = 1\n")
    install(site, "toy-one", "toys", "ball = toy_one:BALL")
    install(site, "toy-two", "toys", "ball = toy_one:BALL")
    with pytest.raises(HarnessError, match=r"'ball' comes from toy-(one|two) and from toy-(one|two)"):
        extensions("toys")
