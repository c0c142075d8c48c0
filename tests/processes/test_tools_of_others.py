# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a type checker, a build of the package and the man page's maker see."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.cli.parser import COMMANDS
from tests.support.checkouts import git, small_checkout

PROGRAMS = Path(sys.executable).parent


def built_version(folder: Path) -> str:
    done = subprocess.run(
        [PROGRAMS / "hatchling", "version"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_version_is_the_tags(tmp_path: Path) -> None:
    checkout = small_checkout(tmp_path / "checkout")
    assert re.fullmatch(r"0\.1\.0\.dev1\+g[0-9a-f]+", built_version(checkout))  # no tag at all
    git(checkout, "tag", "v0.2.0")
    assert built_version(checkout) == "0.2.0"
    git(checkout, "commit", "-q", "--allow-empty", "-m", "two")
    assert built_version(checkout).startswith("0.2.1.dev1+g")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{checkout}", "shallow")
    assert built_version(tmp_path / "shallow").startswith("0.1.0.dev1+g")  # a clone without the tag
    shutil.rmtree(checkout / ".git")
    assert built_version(checkout) == "0.1.0.dev0"  # an archive


def test_the_man_page_has_every_command(tmp_path: Path) -> None:
    page = tmp_path / "harness.1"
    make = [str(PROGRAMS / "argparse-manpage"), "--module", "harness.cli.parser", "--function", "parser"]
    form = ["--prog", "harness", "--format", "single-commands-section", "--output", str(page)]
    subprocess.run([*make, *form], check=True, capture_output=True)
    text = page.read_text()
    assert [name for name in COMMANDS if rf"\fBharness {name}" not in text] == []
    assert "exit codes: 0 as expected" in text


def test_a_type_checker_sees_the_types(tmp_path: Path) -> None:
    """With ``py.typed`` and no ``Any``: a wrong use is an error in a user's own file."""
    (tmp_path / "own.py").write_text(
        "from harness import Cell, Evidence, __version__\n"
        "def size(cell: Cell, evidence: Evidence) -> str:\n"
        "    return cell.memory_mib + len(evidence.record.cell) + len(__version__)\n"
        "from harness import Room\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir=cache", "own.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 'Incompatible return value type (got "int", expected "str")' in done.stdout
    assert 'Module "harness" has no attribute "Room"' in done.stdout
    assert "Found 2 errors" in done.stdout
