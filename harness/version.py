# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which harness this is: its version, and the commit that it was made from or that a checkout is at."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from harness.paths import PACKAGE

DISTRIBUTION = "ovmf-acceptance"
_LOCAL = "+g"
"""Before the commit in a version that is no release's: ``0.2.1.dev3+g1b2c3d4``."""


@dataclass(frozen=True)
class Version:
    """``commit`` is empty where nobody knows it; ``dirty``: the checkout differs from it."""

    version: str
    commit: str = ""
    dirty: bool = False


@cache
def harness_version() -> Version:
    """Return the version of the installed distribution, and the commit of a checkout or of the version."""
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        version = "not installed"
    if (PACKAGE.parent / ".git").exists():
        commit = _git("rev-parse", "HEAD")
        if commit:
            release = version.partition(_LOCAL)[0]  # the commit is that of now, not of the installation
            return Version(release, commit, bool(_git("status", "--porcelain", "--untracked-files=no")))
    return Version(version, version.partition(_LOCAL)[2].partition(".")[0])


def version_line() -> str:
    """Return what ``harness --version`` prints."""
    found = harness_version()
    commit = (
        f" (commit {found.commit[:12]}{', changed since' if found.dirty else ''})" if found.commit else ""
    )
    return f"{DISTRIBUTION} {found.version}{commit}"


def _git(*arguments: str) -> str:
    """Return what git says; "" where there is no git, or it refuses."""
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
