# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Write a run's pages: ``index.html``, and a page for each cell that failed or changed."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.results.causes import shared_causes, told
from harness.results.folder import deciding
from harness.results.report.cell import read_parts
from harness.results.report.index import SIGNS, cell_row, cell_rows, heat_maps, state_counts
from harness.results.show_comparison import headline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jinja2 import Template

    from harness.results.compare import Comparison
    from harness.results.folder import StoredRun
    from harness.results.model import CheckLine
    from harness.results.redact import Redaction
    from harness.results.report.index import CellRow

CELLS = "cells"


def write_report(
    run: StoredRun,
    out: Path,
    comparison: Comparison | None = None,
    *,
    every: bool = False,
    redaction: Redaction | None = None,
) -> Path:
    """Write the report of a run to the folder ``out`` and return its first page.

    Pages are made for cells that failed or, by ``comparison``, changed; with ``every`` for all that booted. A
    run that still goes on is shown as far as it is. ``redaction`` goes over every page.
    """
    clean = redaction.text if redaction is not None else str
    changed = {change.cell for change in comparison.changes} if comparison is not None else set()
    rows = [
        replace(row, page=page_of(row.cell))
        if row.record and (every or row.is_bad or row.cell in changed)
        else row
        for row in cell_rows(run)
    ]
    environment = _environment()
    (out / CELLS).mkdir(parents=True, exist_ok=True)
    pages = {row.cell: row.page for row in rows}
    index = environment.get_template("index.html.j2").render(
        run=run,
        rows=rows,
        pages=pages,
        maps=heat_maps(rows),
        counts=state_counts(run),
        causes=[[*told(cause)] for cause in shared_causes(run)],
        comparison=comparison,
        headline=headline(comparison) if comparison is not None else "",
        signs=SIGNS,
    )
    page = environment.get_template("cell.html.j2")
    for row in rows:
        if row.page:
            (out / row.page).write_text(clean(_cell(page, run, row)), encoding="utf-8")
    first = out / "index.html"
    first.write_text(clean(index), encoding="utf-8")
    return first


def _cell(template: Template, run: StoredRun, row: CellRow) -> str:
    checks = [line for line in deciding(run.checks) if line.cell == row.cell]
    boots = [line for line in run.boots if line.cell == row.cell]
    parts = read_parts(run.path / row.record, checks)
    return template.render(run=run, row=row, checks=checks, boots=boots, parts=parts, signs=SIGNS)


def record_page(path: Path, checks: Sequence[CheckLine]) -> str:
    """Return the page of one record, which belongs to no run; ``checks`` are its verdict."""
    parts = read_parts(path, checks)
    name = parts.record.cell if parts.record is not None else path.name
    row = replace(cell_row(name, checks, ()), record=path.name)
    page = _environment().get_template("cell.html.j2")
    return page.render(run=None, row=row, checks=list(checks), boots=[], parts=parts, signs=SIGNS)


def page_of(cell: str) -> str:
    """Return where a cell's page is in a report; the name needs no quoting in a link."""
    return f"{CELLS}/{re.sub(r'[^A-Za-z0-9._-]', '_', cell)}.html"


@cache
def _environment() -> Environment:
    """Return what keeps the templates: to compile one takes longer than to write a page with it."""
    return Environment(
        loader=PackageLoader("harness.results.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
