# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The host in a run of pytest: what it can do, in the header, and whether to wait for its other users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.platforms.registry import platforms
from harness.pytest_plugin.cell_items import SESSION

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says not to wait."""
    group = parser.getgroup("harness", "confidential guests")
    group.addoption(
        "--no-wait", action="store_true", help="fail where others have the host, in place of waiting for it"
    )


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
