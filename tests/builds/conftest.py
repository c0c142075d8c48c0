# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Fixtures that several files of tests of builds use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.artifacts import qemu
from tests.support.toy_qemu import Toy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    made = Toy(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(qemu, "_check_tools", lambda: None)
    monkeypatch.setattr(qemu, "compilers", lambda *_: 2)
    return made
