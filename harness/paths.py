# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the project's own files and its cache are."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout: recipes (``ovmf-builds/``, ``guest-images/``, ``qemu-builds/``) and scenarios live here."""


def cache_dir() -> Path:
    """Give the cache: ``HARNESS_CACHE``, else below ``XDG_CACHE_HOME``, else below ``~/.cache``."""
    if override := os.environ.get("HARNESS_CACHE"):
        return Path(override).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "ovmf-acceptance"
