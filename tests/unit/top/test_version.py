# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The version: of the tag where there is one, and never a reason not to install."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from importlib import metadata
from typing import TYPE_CHECKING

from harness import version
from tests.support.checkouts import git, small_checkout
from tests.support.data import PROJECT
from tests.support.house import imports, modules

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = small_checkout(tmp_path / "checkout")

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


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    declared = {
        re.split(r"[><=]", text)[0].lower()
        for text in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    homes = metadata.packages_distributions()
    used = {
        homes[top][0].lower()
        for path in modules([PROJECT / "harness"])
        for _, name in imports(path)
        if (top := name.partition(".")[0]) not in {*sys.stdlib_module_names, "harness"} and top in homes
    }
    by_command = {"meson", "pytest-timeout", "pytest-xdist"}  # a program, and pytest's plugins
    with_another = {"pydantic_core", "pluggy", "markupsafe", "annotated-types"}
    namespace = {"qemu.qmp"}
    assert used - declared - with_another - namespace == set()
    assert declared - used - by_command - namespace == set()
