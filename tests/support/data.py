# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the tests' own files are."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
PROJECT = TESTS.parent
DATA = TESTS / "data"
FAKE_QEMU = TESTS / "support/fake_qemu.py"
