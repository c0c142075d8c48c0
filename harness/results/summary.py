# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run in short: Markdown for a job's summary page, and GitHub's annotations at the scenarios' lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.matrix.show import count
from harness.results.causes import shared_causes, told
from harness.results.compare import KINDS
from harness.results.flakes import endings, repeated
from harness.results.report.index import SIGNS, cell_rows, state_counts
from harness.results.show_comparison import SCHEMA, escaped, headline, message, property_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.results.compare import Comparison
    from harness.results.folder import StoredRun

_MOST = 30


def markdown_summary(run: StoredRun, comparison: Comparison | None = None) -> str:
    """Return the run as Markdown: counts, failing cells with their cause, flakes, what changed."""
    return "\n".join(_lines(run, comparison))


def _lines(run: StoredRun, comparison: Comparison | None) -> Iterable[str]:
    rows = cell_rows(run)
    bad = [row for row in rows if row.is_bad]
    counts = ", ".join(f"{SIGNS[state]} {number} {state}" for state, number in state_counts(run).items())
    sign = "❌" if bad else "✅" if run.has_judged else "⚪"
    yield f"### {sign} {len(rows)} cells: {counts or 'no question'}"
    yield ""
    host = run.run.host
    qemu = escaped(run.run.qemu)
    yield f"Run `{run.id}` on {escaped(host.cpu)}, Linux {escaped(host.kernel)}; QEMU {qemu}."
    yield from _limits(run)
    if comparison is not None:
        yield ""
        yield f"Since `{comparison.base}`: {headline(comparison)}."
    if bad:
        yield ""
        yield "| cell | check | what is wrong |"
        yield "|---|---|---|"
        for row in bad[:_MOST]:
            root = row.root
            says = "" if root is None else (root.findings[0].says if root.findings else root.reason)
            more = f" (and {len(row.bad) - 1} more)" if len(row.bad) > 1 else ""
            yield f"| `{row.cell}` | {root.check if root else ''} | {escaped(says)}{more} |"
        if len(bad) > _MOST:
            yield f"\nand {len(bad) - _MOST} more cells."
        yield from _causes(run)
    flaky = [it for it in repeated(run.checks) if it.is_flaky]
    if flaky:
        yield ""
        yield "**Flaky** (equal inputs, different answers):"
        yield ""
        yield from (f"- `{it.cell}` {it.check}: fails in {it.failures}" for it in flaky[:_MOST])
    often = endings(run.boots)
    if often:
        yield ""
        yield "**Endings of repeated boots:**"
        yield ""
        for cell, rates in list(often.items())[:_MOST]:
            yield f"- `{cell}`: " + "; ".join(f"{ending} {found}" for ending, found in rates.items())


def _causes(run: StoredRun) -> Iterable[str]:
    """Yield what may be behind the failures of several cells."""
    found = shared_causes(run)
    if not found:
        return
    yield ""
    yield "**What may be behind them:**"
    yield ""
    for cause in found[:_MOST]:
        what, *more = told(cause)
        yield f"- {escaped(what)}{''.join(f'<br>{escaped(line.strip())}' for line in more)}"


def summary_as_data(run: StoredRun, comparison: Comparison | None = None) -> dict[str, Any]:
    """Return the run for programs: counts, failing cells, what may be behind them, flakes, how boots ended.

    Of a rate it has the failures, the number of boots and the bounds of 95 % between 0 and 1.
    """
    rows = cell_rows(run)
    return {
        "schema": SCHEMA,
        "run": run.run.id,
        "code": None if run.end is None else run.end.code,
        "cells": len(rows),
        "states": dict(state_counts(run)),
        "bad": [
            {
                "cell": row.cell,
                "check": root.check,
                "state": root.state,
                "says": root.findings[0].says if root.findings else root.reason,
                "others": [line.check for line in row.bad if line is not root],
            }
            for row in rows
            if row.is_bad and (root := row.root) is not None
        ],
        "causes": [asdict(cause) for cause in shared_causes(run)],
        "flaky": [
            {"cell": it.cell, "check": it.check, "states": list(it.states), "failures": asdict(it.failures)}
            for it in repeated(run.checks)
            if it.is_flaky
        ],
        "endings": {
            cell: {ending: asdict(found) for ending, found in rates.items()}
            for cell, rates in endings(run.boots).items()
        },
        "damaged": list(run.damaged),
        "lacking": _lacking(run),
        "carried": dict(Counter(boot.carried for boot in run.boots if boot.carried)),
        "changes": None
        if comparison is None
        else {"base": comparison.base, **{kind: len(comparison.of(kind)) for kind in KINDS}},
    }


def _limits(run: StoredRun) -> Iterable[str]:
    """Yield what a reader has to know of the run before its counts mean anything."""
    if run.end is None:
        yield ""
        yield "The run goes on, or was killed."
    if run.damaged:
        yield ""
        yield f"Of its results {count(len(run.damaged), 'line')} cannot be read: {escaped(run.damaged[0])}."
    for reason, number in sorted(Counter(_lacking(run).values()).items()):
        yield ""
        yield f"{count(number, 'cell')} of {len(cell_rows(run))} did not boot: {escaped(reason)}."
    carried = Counter(boot.carried for boot in run.boots if boot.carried)
    for earlier, number in sorted(carried.items()):
        yield ""
        yield f"{number} of {len(run.boots)} boots are carried over from `{earlier}`: the same inputs."


def _lacking(run: StoredRun) -> dict[str, str]:
    """Return what the host lacked for the cells that did not boot."""
    return {line.cell: line.reason for line in run.lacks}


def github_annotations(run: StoredRun) -> str:
    """Return a workflow command for each cell that failed, at the line of its scenario."""
    return "\n".join(
        f"::error {_place(root.scenario)}title={property_text(row.cell)}::"
        + message(f"{root.check}: {root.findings[0].says if root.findings else root.reason or root.state}")
        for row in cell_rows(run)
        if row.is_bad and (root := row.root) is not None
    )


def _place(scenario: str) -> str:
    file, colon, line = scenario.rpartition(":")
    return f"file={property_text(file)},line={line}," if colon and line.isdecimal() else ""
