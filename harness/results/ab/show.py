# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A page about two sides of an axis, as text, Markdown, JSON, or GitHub's workflow commands."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.matrix.show import count
from harness.results.show_comparison import escaped, message, property_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.results.ab.page import AbPage, Measure, Question
    from harness.results.statistics import Spread

SCHEMA = 1
_SIGNS = {"worse": "❌", "better": "✅", "unclear": "❔", "both": "🟰"}
_MEANS = {
    "worse": "B is worse",
    "better": "B is better",
    "unclear": "chance explains it",
    "both": "the same on both sides",
}


def show_ab(page: AbPage, form: str) -> str:
    """Return the page in one of ``harness.results.show_comparison.FORMATS``, without a newline at the end."""
    return "\n".join(_SHOW[form](page))


def headline(page: AbPage) -> str:
    """Return the page in one line."""
    found = {verdict: [it for it in page.questions if it.verdict == verdict] for verdict in _SIGNS}
    told = [f"{_MEANS[verdict]} in {count(len(its), 'check')}" for verdict, its in found.items() if its]
    return "; ".join(told) or f"no check fails on either side ({page.asked} asked of both)"


def _about(page: AbPage) -> Iterable[str]:
    host = page.run.run.host
    cells, boots = count(len(page.pairs), "cell"), count(page.times, "boot")
    yield f"{page.axis} A: {page.a}"
    yield f"{page.axis} B: {page.b}"
    yield f"{cells} on each side, {boots} of each, in turn"
    yield f"host: {host.cpu}, Linux {host.kernel}, QEMU {page.run.run.qemu}"


def _text(page: AbPage) -> Iterable[str]:
    yield headline(page)
    yield from _about(page)
    yield from (f"note: {note}" for note in page.notes)
    if page.questions:
        yield "\nChecks that fail:"
    for it in page.questions:
        yield f"  {it.pair.name}: {it.name}: {_MEANS[it.verdict]} (p = {it.chance:.2g})"
        yield from (f"    A: {it.a}", f"    B: {it.b}")
        yield from ([f"    {it.says}"] if it.says else [])
    if page.endings:
        yield "\nEndings that one side has more often:"
        yield from (f"  {it.pair.name}: {it.name}: A {it.a}; B {it.b}" for it in page.endings)
    if different := _different(page):
        yield "\nMeasures that differ (median ± MAD):"
        yield from (f"  {it.pair.name}: {it.name}: {told(it.a)} → {told(it.b)}" for it in different)
    yield f"\n{_sameness(page)}"


def _different(page: AbPage) -> list[Measure]:
    return [it for it in page.measures if it.differs]


def _sameness(page: AbPage) -> str:
    same = len(page.measures) - len(_different(page))
    good = f"{page.asked - len(page.questions)} of {page.asked} checks fail on neither side"
    return f"{good}; {same} of {len(page.measures)} measures do not differ."


def told(of: Spread) -> str:
    """Return a median with its MAD."""
    return f"{of.median:.6g}" if not of.mad else f"{of.median:.4g} ± {of.mad:.2g}"


def _markdown(page: AbPage) -> Iterable[str]:
    yield f"### {'❌' if page.is_worse else '✅'} {page.axis} `{page.a}` → `{page.b}`"
    yield ""
    yield f"{headline(page)}."
    yield ""
    yield from (f"- {escaped(line)}" for line in (*_about(page), *page.notes))
    if page.questions:
        yield from ("", "#### Checks that fail", "", "| | cell | what | A | B | p |")
        yield "|---|---|---|---|---|---|"
        yield from map(_row, page.questions)
    if page.endings:
        yield from ("", "#### Endings that one side has more often", "", "| cell | ending | A | B |")
        yield "|---|---|---|---|"
        yield from (f"| `{it.pair.name}` | {it.name} | {it.a} | {it.b} |" for it in page.endings)
    if different := _different(page):
        yield from ("", "#### Measures that differ (median ± MAD)", "", "| cell | measure | A | B |")
        yield "|---|---|---|---|"
        for it in different:
            yield f"| `{it.pair.name}` | {it.name} | {told(it.a)} | {told(it.b)} |"
    yield from ("", _sameness(page))


def _row(it: Question) -> str:
    says = f": {it.says}" if it.says else ""
    cells = (f"`{it.pair.name}`", f"{it.name}{says}", str(it.a), str(it.b), f"{it.chance:.2g}")
    return f"| {_SIGNS[it.verdict]} | " + " | ".join(map(escaped, cells)) + " |"


def _github(page: AbPage) -> Iterable[str]:
    levels = {"worse": "error", "unclear": "warning", "better": "notice"}
    for it in page.questions:
        if level := levels.get(it.verdict):
            file, _, line = it.scenario.rpartition(":")
            place = f"file={property_text(file)},line={line}," if line.isdecimal() else ""
            text = f"{it.pair.name}: {it.name}: A fails in {it.a}; B fails in {it.b}: {it.says}"
            yield f"::{level} {place}title={property_text(_MEANS[it.verdict])}::{message(text)}"


def _json(page: AbPage) -> Iterable[str]:
    parts = ("axis", "a", "b", "times", "asked", "notes")
    data = {
        "schema": SCHEMA,
        "worse": page.is_worse,
        "run": page.run.id,
        **{part: getattr(page, part) for part in parts},
        "pairs": [asdict(it) for it in page.pairs],
        "checks": [asdict(it) for it in page.questions],
        "endings": [asdict(it) for it in page.endings],
        "measures": [asdict(it) for it in page.measures],
    }
    yield json.dumps(data, indent=1)


_SHOW: Mapping[str, Callable[[AbPage], Iterable[str]]] = {
    "text": _text,
    "markdown": _markdown,
    "json": _json,
    "github": _github,
}
