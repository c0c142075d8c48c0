# SPDX-License-Identifier: BSD-2-Clause-Patent
"""apt's state in a cache that several users share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.debian.archive import AptRoot

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("user", "own"), [(None, ""), (0, ""), (4242, "-4242")])
def test_in_a_cache_of_another_a_user_has_an_own_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int | None, own: str
) -> None:
    if user is not None:
        monkeypatch.setattr(os, "geteuid", lambda: user)
    state = AptRoot("http://mirror", root=tmp_path / "cache/apt")._suite("trixie")._root
    assert state.parent == tmp_path / "cache/apt"
    assert state.name.removeprefix("trixie-")[8:] == own
