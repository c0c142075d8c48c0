# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Links of Markdown pages lead somewhere, and so do the paths that pages and code name."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.data import PROJECT
from tests.support.markdown import Page, page, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OUTSIDE = re.compile(r"^(https?|mailto):")
_FOLDERS = r"\.ci|bench|docs|examples|guest-images|harness|ovmf-builds|qemu-builds|scenarios|tests"
_PATH = re.compile(rf"(?:{_FOLDERS})/[\w./*+-]*")
_PAGE = re.compile(r"(?<![\w/.-])docs/[\w/-]+\.(?:md|rst)\b")
_PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]*\b(?!\.md)")
_MADE_UP = ("docs/a.md", "docs/gone.md", "docs/x.md", "docs/interop/", "docs/specs/")
"""Pages that tests make up, and pages of QEMU."""


def broken_links(found: Page) -> Iterator[str]:
    """Yield every link of a page that leads nowhere inside the project."""
    for line, target in found.links:
        if _OUTSIDE.match(target):
            continue
        file, _, anchor = target.partition("#")
        path = (found.path.parent / file).resolve() if file else found.path
        if not path.exists():
            yield f"{found.path}:{line}: {target}: there is no such file"
        elif anchor and path.suffix == ".md" and anchor not in page(path).anchors:
            yield f"{found.path}:{line}: {target}: the page has no such heading"


def missing_paths(found: Page) -> Iterator[str]:
    """Yield every path of the project in code style that does not exist; `NAME` stands for any name."""
    for line, text in found.codes:
        made_up = _PLACEHOLDER.search(text) or text in {fence.file for fence in found.fences}
        if made_up or not _PATH.fullmatch(text):
            continue
        if not any(any(folder.glob(text)) for folder in (PROJECT, found.path.parent)):
            yield f"{found.path}:{line}: `{text}`: there is no such file or folder"


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_and_paths(path: Path) -> None:
    found = page(path)
    assert not [*broken_links(found), *missing_paths(found)]


def test_a_broken_page_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `two` and three\n\n# Again\n\n# Again\n")
    (tmp_path / "page.md").write_text(
        "[a](gone.md) [b](other.md#one-two-and-three) [c](other.md#again-1) [d](other.md#nope) [e](#nope)\n\n"
        "`docs/gone.md` `scenarios/NAME.yaml` `scenarios/*.yaml` `scenarios/*.toml`\n"
    )
    found = page(tmp_path / "page.md")
    assert [line.partition("page.md")[2] for line in (*broken_links(found), *missing_paths(found))] == [
        ":1: gone.md: there is no such file",
        ":1: other.md#nope: the page has no such heading",
        ":1: #nope: the page has no such heading",
        ":3: `docs/gone.md`: there is no such file or folder",
        ":3: `scenarios/*.toml`: there is no such file or folder",
    ]


def test_pages_that_code_and_scenarios_name() -> None:
    """Docstrings, comments, messages and links of scenarios."""
    listed = subprocess.run(
        ["git", "grep", "-nIoE", r"[^ ]*docs/[a-zA-Z/-]+\.(md|rst)", "--", ":!*.patch", ":!*.md"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    named = [(line, found[0]) for line in listed for found in _PAGE.finditer(line.split(":", 2)[2])]
    assert len(named) > 10
    assert not [
        line for line, name in named if not name.startswith(_MADE_UP) and not (PROJECT / name).is_file()
    ]
