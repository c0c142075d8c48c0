# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A comparison as text, Markdown, JSON, or as GitHub's workflow commands."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, get_args

from harness.results.compare import KINDS, WORSE, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.results.compare import Change, Comparison

FORMATS = ("text", "markdown", "json", "github")
_TITLES: Mapping[Kind, str] = {
    "new-failure": "New failures",
    "finding-changed": "Other findings than before",
    "cell-missing": "Cells that are missing",
    "still-failing": "Still failing",
    "fixed": "Fixed",
    "state-changed": "Other states",
    "cell-new": "New cells",
    "inputs-changed": "Changed inputs",
    "drift": "Drift of measures",
}
assert set(_TITLES) == set(get_args(Kind))
_MOST = 20
"""Changes of one kind that a page for people shows."""
SCHEMA = 1


def show(comparison: Comparison, form: str) -> str:
    """Return the comparison in one of ``FORMATS``, without a newline at the end."""
    return _SHOW[form](comparison)


def headline(comparison: Comparison) -> str:
    """Return the comparison in one line: how many changes of each kind."""
    counts = [(kind, len(comparison.of(kind))) for kind in KINDS]
    told = ", ".join(f"{_TITLES[kind].lower()}: {number}" for kind, number in counts if number)
    return told or f"no change in {comparison.asked} answers"


def _lines(comparison: Comparison) -> Iterable[str]:
    yield f"{comparison.base} → {comparison.head}: {headline(comparison)}"
    yield from (f"note: {note}" for note in comparison.notes)
    for kind in KINDS:
        if changes := comparison.of(kind):
            yield ""
            yield f"{_TITLES[kind]}:"
            for change in changes[:_MOST]:
                yield f"  {_name(change)}"
                yield from (f"    {line}" for line in _sides(change))
                yield from (f"      {line}" for line in change.evidence[:3])
            yield from _rest(len(changes))


def _name(change: Change) -> str:
    return f"{change.cell}: {change.check}" if change.check else change.cell


def _sides(change: Change) -> Iterable[str]:
    if change.was:
        yield f"was: {change.was}"
    if change.now:
        yield f"now: {change.now}"


def _rest(number: int) -> Iterable[str]:
    if number > _MOST:
        yield f"  and {number - _MOST} more (--format json has them all)"


def _markdown(comparison: Comparison) -> Iterable[str]:
    mark = "❌" if comparison.is_worse else "✅"
    yield f"### {mark} `{comparison.base}` → `{comparison.head}`"
    yield ""
    yield headline(comparison)
    if comparison.notes:
        yield ""
        yield from (f"- {escaped(note)}" for note in comparison.notes)
    for kind in KINDS:
        if changes := comparison.of(kind):
            yield ""
            yield f"#### {_TITLES[kind]} ({len(changes)})"
            yield ""
            yield "| cell | check | was | now |"
            yield "|---|---|---|---|"
            for change in changes[:_MOST]:
                cells = (f"`{change.cell}`", change.check, change.was, change.now)
                yield "| " + " | ".join(map(escaped, cells)) + " |"
            yield from (f"\n{line.strip()}" for line in _rest(len(changes)))


def escaped(text: str) -> str:
    """Return text that stays in a field of a Markdown table: what guests wrote can be anything."""
    safe = text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
    return safe if len(safe) <= 300 else f"{safe[:299]}…"


def _github(comparison: Comparison) -> Iterable[str]:
    """Yield annotations at the scenarios' lines: errors for what is worse, notices for what is mended."""
    for change in comparison.changes:
        if change.kind not in WORSE and change.kind != "fixed":
            continue
        file, _, line = change.scenario.rpartition(":")
        place = f"file={property_text(file)},line={line}," if line.isdecimal() else ""
        level = "error" if change.kind in WORSE else "notice"
        text = f"{_name(change)}: {change.now or change.was}"
        yield f"::{level} {place}title={property_text(_TITLES[change.kind])}::{message(text)}"


def message(text: str) -> str:
    """Return text as a workflow command's message holds it: one line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property_text(text: str) -> str:
    """Return text as a workflow command's property holds it."""
    return message(text).replace(":", "%3A").replace(",", "%2C")


def _json(comparison: Comparison) -> Iterable[str]:
    yield json.dumps({"schema": SCHEMA, "worse": comparison.is_worse, **asdict(comparison)}, indent=1)


def _joined(lines: Callable[[Comparison], Iterable[str]]) -> Callable[[Comparison], str]:
    return lambda comparison: "\n".join(lines(comparison))


_SHOW: Mapping[str, Callable[[Comparison], str]] = {
    "text": _joined(_lines),
    "markdown": _joined(_markdown),
    "json": _joined(_json),
    "github": _joined(_github),
}
