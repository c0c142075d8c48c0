# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What ``tox -e release`` says has changed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

CHANGELOG = """\
# Changelog

What comes next is in changelog.d/.

## [1.1.0] - 2026-11-30

- New.

## [1.0.0] - 2026-10-31

- Old.
"""


def test_the_changes_are_the_newest_section(tmp_path: Path) -> None:
    """Its files in ``changelog.d/`` are gone when a release is made: ``towncrier`` has taken them."""
    words = (
        sys.executable,
        "-m",
        "tox",
        "config",
        "--workdir",
        str(tmp_path),
        "-e",
        "release",
        "-k",
        "commands",
    )
    told = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    command = told.strip().splitlines()[-1]
    (tmp_path / "dist").mkdir()
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    assert (tmp_path / "dist/CHANGES.md").read_text() == "## [1.1.0] - 2026-11-30\n\n- New.\n\n"
