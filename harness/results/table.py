# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The published table: by firmware, kernel and loader what came out, with a link to its evidence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from harness.matrix.choices import EMULATIONS
from harness.results.report.index import SIGNS, cell_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.results.folder import StoredRun
    from harness.results.report.index import CellRow

FORMATS = ("markdown", "html", "json")
_WORDS: Mapping[str, str] = {
    "eager": "firmware accepts",
    "lazy": "kernel accepts lazily",
    "kernel-eager": "kernel accepts at once",
    "nothing-to-accept": "nothing to accept",
    "memory-lost": "memory lost",
    "refuses-to-boot": "refuses to boot",
    "hangs": "hangs",
    "ends-loudly": "ends loudly",
    "plain": "plain",
}
"""What a rollout outcome means, in the words of somebody who does not know the model."""


@dataclass(frozen=True)
class Field:
    """One place of the table. ``text`` is what came out; ``link`` leads to the evidence, empty for none."""

    sign: str
    text: str
    link: str


@dataclass(frozen=True)
class Table:
    """Rows are firmware and kernel, columns loaders; a place holds one field for each different result."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    fields: Mapping[tuple[str, str, str], tuple[Field, ...]]


def tables(run: StoredRun, link: Callable[[CellRow], str]) -> list[Table]:
    """Return a table for each platform of a run; ``link`` gives the address of a cell's evidence."""
    rows = [row for row in cell_rows(run) if row.axes]
    platforms = sorted({row.axes.get("platform", "") for row in rows})
    return [
        _table(name, [row for row in rows if row.axes.get("platform", "") == name], link)
        for name in platforms
    ]


def _table(title: str, rows: Sequence[CellRow], link: Callable[[CellRow], str]) -> Table:
    fields: dict[tuple[str, str, str], dict[tuple[str, str], Field]] = {}
    for row in rows:
        place = tuple(row.axes.get(axis, "") for axis in ("firmware", "kernel", "loader"))
        field = Field(SIGNS[row.state], _result(row), link(row))
        fields.setdefault(place, {}).setdefault((field.sign, field.text), field)  # type: ignore[arg-type]
    return Table(
        title,
        tuple(sorted({place[2] for place in fields})),
        tuple(sorted({(place[0], place[1]) for place in fields})),
        {place: tuple(found.values()) for place, found in fields.items()},
    )


def _result(row: CellRow) -> str:
    if row.is_bad and row.root is not None:
        return row.root.check
    words = _WORDS.get(row.outcome, row.outcome or row.state)
    host = row.axes.get("emulation", EMULATIONS[0])
    words += f" ({host})" if host != EMULATIONS[0] else ""
    return f"{words}, {row.known_bad} known bad" if row.state == "known-bad" else words


def show_tables(made: Sequence[Table], form: str) -> str:
    """Return the tables in one of ``FORMATS``."""
    return _SHOW[form](made)


def _markdown(made: Sequence[Table]) -> str:
    return "\n\n".join("\n".join(_markdown_lines(table)) for table in made)


def _markdown_lines(table: Table) -> Iterable[str]:
    yield f"**{table.title}**"
    yield ""
    yield f"| firmware | kernel | {' | '.join(table.columns)} |"
    yield "|---|---" + "|---" * len(table.columns) + "|"
    for firmware, kernel in table.rows:
        places = (
            "<br>".join(_markdown_field(field) for field in table.fields.get((firmware, kernel, column), ()))
            for column in table.columns
        )
        yield f"| {firmware} | {kernel} | {' | '.join(places)} |"


def _markdown_field(field: Field) -> str:
    text = f"{field.sign} {field.text}"
    return f"[{text}]({field.link})" if field.link else text


def _html(made: Sequence[Table]) -> str:
    return "\n".join(_html_table(table) for table in made)


def _html_table(table: Table) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("firmware", "kernel", *table.columns))
    lines = [f"<table><caption>{escape(table.title)}</caption><thead><tr>{heads}</tr></thead><tbody>"]
    for firmware, kernel in table.rows:
        cells = [f"<th>{escape(firmware)}</th><th>{escape(kernel)}</th>"]
        for column in table.columns:
            fields = table.fields.get((firmware, kernel, column), ())
            cells.append(f"<td>{'<br>'.join(map(_html_field, fields))}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _html_field(field: Field) -> str:
    text = escape(f"{field.sign} {field.text}")
    return f'<a href="{escape(field.link)}">{text}</a>' if field.link else text


def _json(made: Sequence[Table]) -> str:
    rows = [
        {"platform": table.title, "firmware": firmware, "kernel": kernel, "loader": loader}
        | {"state": field.sign, "result": field.text, "evidence": field.link}
        for table in made
        for (firmware, kernel, loader), fields in sorted(table.fields.items())
        for field in fields
    ]
    return json.dumps({"schema": 1, "rows": rows}, indent=1, ensure_ascii=False)


_SHOW: Mapping[str, Callable[[Sequence[Table]], str]] = {"markdown": _markdown, "html": _html, "json": _json}
