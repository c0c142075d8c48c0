# SPDX-License-Identifier: BSD-2-Clause-Patent
"""These tests need what unit tests need, and programs of their own, which take their time."""

from __future__ import annotations

from tests.support.alone import alone

__all__ = ["alone"]
