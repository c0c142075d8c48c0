# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The harness's modules load in a run of pytest, such as this one, as they do everywhere else."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING

import pytest

from harness.boot import driver
from harness.pytest_plugin import plugin
from harness.pytest_plugin.opt_in import AsWritten

if TYPE_CHECKING:
    from types import ModuleType


@pytest.mark.parametrize("module", [driver, plugin])
def test_pytest_rewrites_no_room(module: ModuleType) -> None:
    assert type(module.__loader__) is SourceFileLoader


def test_it_finds_rooms_alone() -> None:
    found = AsWritten.find_spec("harness.errors", sys.modules["harness"].__path__)
    assert found is not None
    assert found.origin == sys.modules["harness.errors"].__file__
    assert AsWritten.find_spec("harness") is None
    assert AsWritten.find_spec("tests.support") is None
