# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a Markdown page holds: fenced blocks, links, words in code style, headings. Parsed as GitHub does."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from markdown_it.token import Token


@dataclass(frozen=True)
class Fence:
    """A fenced block: where it is, its info string, its text. An indented block has no info string."""

    path: Path
    line: int
    info: str
    text: str

    @property
    def language(self) -> str:
        """The first word of the info string."""
        return self.info.partition(" ")[0]

    @property
    def kind(self) -> str:
        """What follows the language in the info string."""
        return self.info.partition(" ")[2].strip()

    @property
    def file(self) -> str:
        """The file that a reader saves the block as, the info string's third word; "" for none."""
        words = self.info.removesuffix(" +").split()
        return words[2] if len(words) > 2 else ""

    @property
    def where(self) -> str:
        """``file:line``, for messages."""
        path = self.path.relative_to(PROJECT) if self.path.is_relative_to(PROJECT) else self.path
        return f"{path}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path
    fences: tuple[Fence, ...]
    links: tuple[tuple[int, str], ...]
    """Line and target of each link and picture."""
    codes: tuple[tuple[int, str], ...]
    """Line and text of each `code span`."""
    anchors: frozenset[str]
    """Names of the headings, as GitHub makes them."""


@cache
def page(path: Path) -> Page:
    """Read a Markdown file."""
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text())
    inline = [(token.map[0] + 1, token) for token in tokens if token.type == "inline" and token.map]
    return Page(
        path,
        tuple(
            Fence(path, token.map[0] + 1, token.info.strip(), token.content)
            for token in tokens
            if token.type in {"fence", "code_block"} and token.map
        ),
        tuple((line, target) for line, token in inline for target in _targets(token)),
        tuple((line, it.content) for line, token in inline for it in _children(token, "code_inline")),
        frozenset(_anchors(tokens)),
    )


@cache
def pages() -> tuple[Path, ...]:
    """Return every Markdown file of the project that git knows, or would take, for ``page``.

    News for the changelog name what there was before, which no parser knows any more.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", ":!changelog.d/+*"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    return tuple(PROJECT / name for name in sorted(set(listed)) if name and (PROJECT / name).is_file())


def _children(token: Token, kind: str) -> Iterator[Token]:
    return (child for child in token.children or () if child.type == kind)


def _targets(token: Token) -> Iterator[str]:
    for kind, attribute in (("link_open", "href"), ("image", "src")):
        yield from (str(child.attrGet(attribute)) for child in _children(token, kind))


def _anchors(tokens: list[Token]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            words = "".join(
                child.content
                for child in tokens[number + 1].children or ()
                if child.type in {"text", "code_inline"}
            )
            slug = re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-")
            again = seen.get(slug, 0)
            seen[slug] = again + 1
            yield f"{slug}-{again}" if again else slug
