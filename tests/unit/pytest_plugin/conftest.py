# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def scenario(pytester: pytest.Pytester, stand_ins: Any) -> Callable[[str], Path]:
    """Write ``scenarios/s.yaml``."""
    assert stand_ins.booted == []
    path = pytester.mkdir("scenarios") / "s.yaml"

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write
