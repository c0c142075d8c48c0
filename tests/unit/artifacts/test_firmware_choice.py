# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Firmware from a commit, and with a patch series, as a command line names it."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.firmware.choice import choose_firmware
from harness.artifacts.firmware.edk2_source import commit_of
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import find
from harness.errors import HarnessError
from harness.paths import SHIPPED_PROJECT
from harness.recipes.catalog import load_catalog

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = load_catalog()
SERIES = """\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: A <a@example.com>
Subject: [PATCH 1/1] Change

---
--- a/x
+++ b/x
@@ -1 +1 @@
-a
+b
"""


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "edk2.git"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=topic")
    (folder / "x").write_text("a\n")
    git(folder, "add", "x")
    git(folder, "commit", "--quiet", "-m", "one")
    git(folder, "tag", "-a", "v1", "-m", "one")
    return folder


@pytest.mark.parametrize("remote", [True, False])
def test_a_commit(repository: Path, *, remote: bool) -> None:
    head = git(repository, "rev-parse", "HEAD")
    url = f"file://{repository}" if remote else str(repository)
    for ref in ("topic", "v1", head):
        recipe = choose_firmware(f"git:{url}@{ref}", CATALOG)
        assert recipe.source.git is not None
        assert (recipe.source.git.commit, recipe.source.git.url) == (head, url)
        assert recipe.name == f"git-edk2-{head[:6]}"
        assert recipe.options.pcds
    assert commit_of(str(repository), head[:10]) == head
    with pytest.raises(HarnessError, match=r"no branch or tag none|no none"):
        commit_of(url, "none")


def test_a_series_on_each_base(repository: Path, tmp_path: Path) -> None:
    series = tmp_path / "v2.mbox"
    series.write_text(SERIES)
    head = git(repository, "rev-parse", "HEAD")
    on_commit = choose_firmware(f"mbox:{series}@git:{repository}@topic", CATALOG)
    assert on_commit.source.git is not None
    assert (on_commit.source.git.commit, on_commit.patches) == (head, (series,))
    built = next(name for name, recipe in CATALOG.firmware.items() if recipe.patches)
    on_recipe = choose_firmware(f"mbox:{series}@{built}", CATALOG)
    assert on_recipe.patches == (*CATALOG.firmware[built].patches, series)
    assert on_recipe.options == CATALOG.firmware[built].options
    assert on_commit.name.startswith("mbox-v2-")
    assert on_commit.name != on_recipe.name
    series.write_text(SERIES.replace("+b", "+c"))
    assert choose_firmware(f"mbox:{series}@{built}", CATALOG).name != on_recipe.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("git:somewhere", "git:somewhere: no @REF"),
        ("git:https://example.com/x@-x", "no name of a commit begins with -"),
        ("mbox:v2.mbox", "mbox:v2.mbox: no @BASE"),
        ("mbox:none.mbox@debian-2025.02", "none.mbox: no such file"),
        ("mbox:v2.mbox@debian-2025.02", "nothing is built of debian-2025.02: it is an image"),
        ("mbox:v2.mbox@nothing", "unknown firmware 'nothing'"),
        ("mbox:empty@nothing", "empty"),
        ("hg:x", "write NAME|file:PATH|tree:PATH|git:URL@REF|mbox:SERIES@BASE"),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v2.mbox").write_text(SERIES)
    (tmp_path / "empty").write_text("")
    with pytest.raises(HarnessError, match=re.escape(said)):
        choose_firmware(text, CATALOG)


def test_a_command_takes_both(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "v2.mbox").write_text(SERIES)
    ingredients = Ingredients(SHIPPED_PROJECT)
    for text in (f"git:{repository}@topic", f"mbox:{tmp_path / 'v2.mbox'}@git:{repository}@v1"):
        named = find(text, ingredients)
        assert named.kind == "firmware"
        assert ingredients.firmware_recipe(named.name).source.git is not None
