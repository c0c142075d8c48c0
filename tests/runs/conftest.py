# SPDX-License-Identifier: BSD-2-Clause-Patent
"""These tests need what unit tests need, and the time that runs of pytest within them take."""

from __future__ import annotations

import pytest

from tests.support.alone import alone

__all__ = ["alone"]


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Name the plugins of runs within tests: pytest would look for them in the metadata of all packages."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin,pytest_timeout,harness.pytest_plugin.opt_in")
    return pytester
