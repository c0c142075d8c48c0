# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What changed between two runs: verdicts, cells, inputs and measures. Pure: from stored runs to changes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

from harness.results.flakes import failure_rates
from harness.results.folder import deciding
from harness.results.model import BAD, scenario_file
from harness.results.statistics import Rate, Spread, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.results.folder import StoredRun
    from harness.results.model import BootLine, CheckLine, FindingData, LackLine

Kind = Literal[
    "new-failure",
    "finding-changed",
    "cell-missing",
    "still-failing",
    "fixed",
    "state-changed",
    "cell-new",
    "inputs-changed",
    "drift",
]
"""In the order in which a reader wants them: what is worse first."""
KINDS: tuple[Kind, ...] = get_args(Kind)
WORSE: frozenset[Kind] = frozenset({"new-failure", "finding-changed", "cell-missing"})
"""Changes for which ``compare`` exits with 1."""
_LEAST_SAMPLES = 3
_SIGMAS = 3.0
_LEAST_DRIFT = 0.05
_Samples = dict[tuple[str, str], list[float]]
"""By cell and measure."""
_Rates = dict[tuple[str, str, str], Rate]
"""By a question's key, where several attempts answered it."""
_EXACT = ".pages"
"""Measures that end so are counts of the guest's own doing: the same each time, so one sample tells."""


@dataclass(frozen=True)
class Change:
    """One difference. ``was`` and ``now`` are what each side says, empty where a side says nothing."""

    kind: Kind
    cell: str
    check: str = ""
    scenario: str = ""
    was: str = ""
    now: str = ""
    record: str = ""
    """The head's record, relative to its run, empty where there is none."""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All changes from ``base`` to ``head`` (ids of runs), worst first, and what limits their meaning."""

    base: str
    head: str
    changes: tuple[Change, ...]
    asked: int
    """Questions that both sides answered."""
    notes: tuple[str, ...] = field(default=())

    def of(self, *kinds: Kind) -> tuple[Change, ...]:
        """Return the changes of these kinds, in their order."""
        return tuple(change for change in self.changes if change.kind in kinds)

    @property
    def is_worse(self) -> bool:
        """Whether the head does worse than the base."""
        return any(change.kind in WORSE for change in self.changes)


def compare(base: StoredRun, head: StoredRun, earlier: Sequence[StoredRun] = ()) -> Comparison:
    """Return what changed from ``base`` to ``head``.

    ``earlier`` are runs before the base: further samples of its measures, taken where their inputs are the
    base's. A question to several attempts counts by its last answer.
    """
    was = {line.key: line for line in deciding(base.checks)}
    now = {line.key: line for line in deciding(head.checks)}
    gone, new = _cells(base) - _cells(head), _cells(head) - _cells(base)
    changes = [_of_check(was.get(key), line) for key, line in now.items() if line.cell not in new]
    changes += [_new_cell(cell, head) for cell in sorted(new)]
    changes += [Change("cell-missing", cell, was=_in_short(cell, base)) for cell in sorted(gone)]
    lacking = {line.cell: line.reason for line in head.lacks}
    unasked = [line for key, line in was.items() if key not in now and line.cell not in gone]
    changes += [_unasked(line, lacking.get(line.cell, "")) for line in unasked]
    changes += _inputs(base, head)
    changes += _drift([*earlier, base], head)
    rates = failure_rates(base.checks), failure_rates(head.checks)
    kept = [_with_rates(change, *rates) for change in changes if change is not None]
    kept.sort(key=lambda change: (KINDS.index(change.kind), change.cell, change.check))
    return Comparison(base.id, head.id, tuple(kept), len(was.keys() & now.keys()), tuple(_notes(base, head)))


def finding_keys(line: CheckLine) -> frozenset[tuple[object, ...]]:
    """Return what findings are compared by: kinds and values, never sentences."""
    return frozenset(_finding_key(finding) for finding in line.findings)


def _finding_key(finding: FindingData) -> tuple[object, ...]:
    return finding.kind, *sorted(finding.values.items())


def _of_check(was: CheckLine | None, now: CheckLine) -> Change | None:
    before = was.state if was is not None else ""
    if now.state in BAD:
        if was is None or was.state not in BAD:
            return _change("new-failure", was, now)
        if before != now.state or finding_keys(was) != finding_keys(now):
            return _change("finding-changed", was, now)
        return _change("still-failing", was, now)
    if was is None:
        return None
    if was.state in BAD:
        return _change("fixed", was, now)
    return _change("state-changed", was, now) if before != now.state else None


def _change(kind: Kind, was: CheckLine | None, now: CheckLine) -> Change:
    evidence = tuple(line for finding in now.findings for line in finding.evidence)
    before = said(was) if was is not None else ""
    return Change(kind, now.cell, now.check, now.scenario, before, said(now), now.record, evidence)


def said(line: CheckLine) -> str:
    """Return a check's answer in one line: its findings, else its state and why."""
    if line.findings and line.state in BAD:
        return "; ".join(finding.says for finding in line.findings)
    return f"{line.state}: {line.reason}" if line.reason else line.state


def _with_rates(change: Change, was: _Rates, now: _Rates) -> Change:
    """Return a change whose sides say how often they fail, where they had several attempts."""
    key = change.cell, change.check, scenario_file(change.scenario)
    sides = ((change.was, was.get(key)), (change.now, now.get(key)))
    told = [f"{text} (fails in {often})" if often is not None else text for text, often in sides]
    return replace(change, was=told[0], now=told[1])


def _unasked(line: CheckLine, lacks: str) -> Change | None:
    """Return the change of a check that the head no longer asks of a cell that it still has.

    ``lacks``: what the head's host lacked for the cell, "" for nothing.
    """
    if line.state == "not-asked":
        return None
    now = f"not booted: {lacks}" if lacks else "not asked any more"
    return Change("state-changed", line.cell, line.check, line.scenario, said(line), now)


def _cells(run: StoredRun) -> set[str]:
    lines: list[BootLine | CheckLine | LackLine] = [*run.boots, *run.checks, *run.lacks]
    return {line.cell for line in lines}


def _in_short(cell: str, run: StoredRun) -> str:
    states = [line.state for line in deciding(run.checks) if line.cell == cell]
    bad = sum(state in BAD for state in states)
    return f"{bad} of {len(states)} checks failed" if bad else f"{len(states)} checks, none failed"


def _new_cell(cell: str, head: StoredRun) -> Change:
    record = next((line.record for line in head.boots if line.cell == cell), "")
    return Change("cell-new", cell, now=_in_short(cell, head), record=record)


def _inputs(base: StoredRun, head: StoredRun) -> Iterable[Change]:
    """Yield a change for each ingredient that differs, once for all cells that share the difference."""
    was = {line.cell: line.inputs for line in base.boots}
    cells: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for line in {line.cell: line for line in head.boots}.values():
        for name in sorted({*was.get(line.cell, {}), *line.inputs}):
            pair = was.get(line.cell, line.inputs).get(name, "none"), line.inputs.get(name, "none")
            if pair[0] != pair[1]:
                cells[name, *pair].append(line.cell)
    for (name, before, after), named in sorted(cells.items()):
        others = f" and {len(named) - 1} more cells" if len(named) > 1 else ""
        yield Change("inputs-changed", f"{named[0]}{others}", check=name, was=before, now=after)


def _samples(runs: Iterable[StoredRun], like: Mapping[str, Mapping[str, str]]) -> _Samples:
    found: _Samples = defaultdict(list)
    for run in runs:
        for line in run.boots:
            if not line.carried and line.inputs == like.get(line.cell):
                for name, value in line.measures.items():
                    found[line.cell, name].append(value)
    return found


def _drift(bases: Sequence[StoredRun], head: StoredRun) -> Iterable[Change]:
    before = _samples(bases, _inputs_by_cell(bases[-1].boots))
    after = _samples([head], _inputs_by_cell(head.boots))
    for key, samples in sorted(after.items()):
        if key in before:
            told = drifted(key[1], spread(before[key]), spread(samples))
            if told is not None:
                yield Change("drift", key[0], check=key[1], was=told[0], now=told[1])


def _inputs_by_cell(boots: Iterable[BootLine]) -> dict[str, Mapping[str, str]]:
    return {line.cell: line.inputs for line in boots}


def drifted(name: str, was: Spread, now: Spread) -> tuple[str, str] | None:
    """Return both sides of a measure as text when they differ by more than noise explains, else None."""
    if name.endswith(_EXACT):
        return None if was.median == now.median else (f"{was.median:.0f}", f"{now.median:.0f}")
    if min(was.count, now.count) < _LEAST_SAMPLES:
        return None  # a single time says nothing
    apart = abs(now.median - was.median)
    if apart <= _SIGMAS * (was.sigma + now.sigma) or apart <= _LEAST_DRIFT * abs(was.median):
        return None
    return _told(was), _told(now)


def _told(of: Spread) -> str:
    return f"{of.median:.4g} ± {of.mad:.2g} ({of.count})"


def _notes(base: StoredRun, head: StoredRun) -> Iterable[str]:
    """Yield what makes the two sides differ beside the guests."""
    before, after = base.run, head.run
    for what, was, now in (
        ("the scenarios' commit", before.scenarios_commit, after.scenarios_commit),
        ("the harness", before.commit or before.harness, after.commit or after.harness),
        ("QEMU", before.qemu_key or before.qemu, after.qemu_key or after.qemu),
        ("the processor", before.host.cpu, after.host.cpu),
        ("the selection", before.selection, after.selection),
    ):
        if was != now:
            hint = ": cells that changed there are not comparable" if "scenarios" in what else ""
            yield f"{what} differs: {was or 'unknown'}, then {now or 'unknown'}{hint}"
    for side, run in (("base", base), ("head", head)):
        if run.end is None:
            yield f"the {side} is not over, or was killed: cells may be missing"
        if run.damaged:
            yield f"the {side} is damaged: {'; '.join(run.damaged[:3])}"
