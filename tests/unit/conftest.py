# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Unit tests need no network, no QEMU and nothing that an earlier run has built."""

from __future__ import annotations

import gc

import pytest

from tests.support.alone import alone

__all__ = ["alone"]


def pytest_collection_finish() -> None:
    """Let the garbage collector leave thousands of tests alone: it would look at them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Name the plugins of runs within tests: pytest would look for them in the metadata of all packages."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin,pytest_timeout,harness.pytest_plugin.opt_in")
    return pytester
