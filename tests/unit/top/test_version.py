# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The version: of the tag where there is one, and never a reason not to install."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import version
from harness.cli.parser import COMMANDS
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(sys.executable).parent


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *own, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "harness").mkdir(parents=True)
    shutil.copy2(PROJECT / "pyproject.toml", folder)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def built_version(folder: Path) -> str:
    done = subprocess.run(
        [PROGRAMS / "hatchling", "version"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_version_is_the_tags(checkout: Path, tmp_path: Path) -> None:
    assert re.fullmatch(r"0\.1\.0\.dev1\+g[0-9a-f]+", built_version(checkout))  # no tag at all
    git(checkout, "tag", "v0.2.0")
    assert built_version(checkout) == "0.2.0"
    git(checkout, "commit", "-q", "--allow-empty", "-m", "two")
    assert built_version(checkout).startswith("0.2.1.dev1+g")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{checkout}", "shallow")
    assert built_version(tmp_path / "shallow").startswith("0.1.0.dev1+g")  # a clone without the tag
    shutil.rmtree(checkout / ".git")
    assert built_version(checkout) == "0.1.0.dev0"  # an archive


def test_what_is_told(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(given: str) -> str:
        version.harness_version.cache_clear()
        monkeypatch.setattr(metadata, "version", lambda _name: given)
        return version.version_line()

    monkeypatch.setattr(version, "PACKAGE", checkout / "harness")
    commit = git(checkout, "rev-parse", "HEAD")[:12]
    assert told("0.2.1.dev1+gaaaaaaa.d20260101") == f"ovmf-acceptance 0.2.1.dev1 (commit {commit})"
    (checkout / "pyproject.toml").write_text("")
    assert told("0.2.0") == f"ovmf-acceptance 0.2.0 (commit {commit}, changed since)"
    shutil.rmtree(checkout / ".git")
    assert (
        told("0.2.1.dev1+gaaaaaaa.d20260101")
        == "ovmf-acceptance 0.2.1.dev1+gaaaaaaa.d20260101 (commit aaaaaaa)"
    )
    assert told("0.2.0") == "ovmf-acceptance 0.2.0"
    version.harness_version.cache_clear()


def test_the_man_page_has_every_command(tmp_path: Path) -> None:
    page = tmp_path / "harness.1"
    make = [str(PROGRAMS / "argparse-manpage"), "--module", "harness.cli.parser", "--function", "parser"]
    form = ["--prog", "harness", "--format", "single-commands-section", "--output", str(page)]
    subprocess.run([*make, *form], check=True, capture_output=True)
    text = page.read_text()
    assert [name for name in COMMANDS if rf"\fBharness {name}" not in text] == []
    assert "exit codes: 0 as expected" in text


def imported(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    declared = {
        re.split(r"[><=]", text)[0].lower()
        for text in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    homes = metadata.packages_distributions()
    used = {
        homes[top][0].lower()
        for name in imported(PROJECT / "harness")
        if (top := name.partition(".")[0]) not in {*sys.stdlib_module_names, "harness"} and top in homes
    }
    by_command = {"meson", "pytest-timeout", "pytest-xdist"}  # a program, and pytest's plugins
    with_another = {"pydantic_core", "pluggy", "markupsafe", "annotated-types"}
    namespace = {"qemu.qmp"}
    assert used - declared - with_another - namespace == set()
    assert declared - used - by_command - namespace == set()
