# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The line of pytest's header that says what this host can do: the answers of ``harness doctor`` in short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.platforms.registry import platforms
from harness.pytest_plugin.cell_items import SESSION

if TYPE_CHECKING:
    import pytest


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Return which platforms run here, and the first thing that each other one lacks."""
    session = config.stash.get(SESSION, None)
    if session is None or session.options.replay is not None:
        return []
    told = []
    for name, platform in platforms().items():
        lacking = platform.lacking(session.host)
        told.append(f"{name} (no: {lacking[0]})" if lacking else name)
    return [f"platforms here: {', '.join(told)}; harness doctor says more"]
