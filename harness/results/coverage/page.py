# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Coverage as one page, with the sources where they still are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.results.coverage.told import never_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evidence.symbols.covered import SourceFile


@dataclass(frozen=True)
class Row:
    """A source line: its number, how many boots executed it (None: it has no code), and its text."""

    number: int
    count: int | None
    text: str


def coverage_page(firmware: str, boots: Sequence[str], sources: Sequence[SourceFile]) -> str:
    """Return an HTML page that loads nothing from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # a tenth of a second

    environment = Environment(
        loader=PackageLoader("harness.results.coverage", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("coverage.html.j2").render(
        firmware=firmware,
        boots=boots,
        files=[(it, never_run(it), rows(it)) for it in sources],
    )


def rows(source: SourceFile) -> list[Row]:
    """Return a file's lines: all where the file still is, else those that have code."""
    try:
        texts = Path(source.path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return [Row(number, count, "") for number, count in sorted(source.lines.items())]
    return [Row(number, source.lines.get(number), text) for number, text in enumerate(texts, start=1)]
