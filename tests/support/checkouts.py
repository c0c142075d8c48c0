# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Repositories of git that tests make."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints in a folder, as somebody whose settings are not this user's."""
    own = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *own, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def small_checkout(folder: Path) -> Path:
    """Return ``folder`` as a repository with one commit: this project's ``pyproject.toml``."""
    (folder / "harness").mkdir(parents=True)
    shutil.copy2(PROJECT / "pyproject.toml", folder)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder
