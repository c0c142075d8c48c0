# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Unit tests need no network, no QEMU and nothing that an earlier run has built."""

from __future__ import annotations

import atexit
import gc
import os

from tests.support.alone import alone

__all__ = ["alone"]

# Tests are collected by each worker, and Python would look for garbage among them again and again.
gc.set_threshold(50_000, 20, 50)
atexit.register(gc.freeze)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers ``-n auto`` means: two a processor, as tests wait for half of their time."""
    return 2 * len(os.sched_getaffinity(0))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave thousands of tests alone."""
    gc.freeze()
