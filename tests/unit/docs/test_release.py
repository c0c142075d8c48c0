# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What ``tox -e release`` says has changed."""

from __future__ import annotations

import shlex
import subprocess
from configparser import RawConfigParser
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
    tox = RawConfigParser()
    tox.read(PROJECT / "tox.ini")
    command = tox["testenv:release"]["commands"].strip().splitlines()[-1]
    (tmp_path / "dist").mkdir()
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    assert (tmp_path / "dist/CHANGES.md").read_text() == "## [1.1.0] - 2026-11-30\n\n- New.\n\n"
