# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Failures of many cells by what may be behind them: what fails in the same cells is shown as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.matrix.show import count
from harness.results.folder import deciding
from harness.results.model import BAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.results.folder import StoredRun
    from harness.results.model import CheckLine


@dataclass(frozen=True)
class Cause:
    """What may be one fault: findings that the same ``cells`` have, by check and kind.

    ``says`` is the first cell's first finding. ``known_in`` says where the same is known, "" for nowhere.
    """

    faults: tuple[tuple[str, str], ...]
    cells: tuple[str, ...]
    says: str
    known_in: str = ""

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks that fail."""
        return tuple(dict.fromkeys(check for check, _ in self.faults))


def causes(run: StoredRun) -> list[Cause]:
    """Return what may be behind the failures of a run: what is known nowhere first, then by number of cells.

    Findings of the same check and kind are one fault, whatever their values; faults of exactly the same cells
    are one cause, unless one of them is known elsewhere and the other is not.
    """
    cells: dict[tuple[str, str, str], dict[str, None]] = {}
    says: dict[tuple[str, str, str], str] = {}
    for line in deciding(run.checks):
        if line.state in BAD and not line.cause:
            for kind, said in _faults(line):
                key = line.check, kind, line.known_in
                cells.setdefault(key, {})[line.cell] = None
                says.setdefault(key, said)
    groups: dict[tuple[frozenset[str], str], list[tuple[str, str, str]]] = {}
    for key, found in cells.items():
        groups.setdefault((frozenset(found), key[2]), []).append(key)
    made = [
        Cause(tuple((check, kind) for check, kind, _ in keys), tuple(cells[keys[0]]), says[keys[0]], known)
        for (_, known), keys in groups.items()
    ]
    return sorted(made, key=lambda it: (bool(it.known_in), -len(it.cells)))


def shared_causes(run: StoredRun) -> list[Cause]:
    """Return the causes of a run where one shows in several cells or is known elsewhere, else nothing."""
    found = causes(run)
    return found if any(len(it.cells) > 1 or it.known_in for it in found) else []


def _faults(line: CheckLine) -> Iterator[tuple[str, str]]:
    """Yield kind and sentence of each finding of another kind, of a check without findings its state."""
    if not line.findings:
        yield line.state, line.reason or line.state
    yield from {finding.kind: finding.says for finding in reversed(line.findings)}.items()


def told(cause: Cause) -> Iterator[str]:
    """Yield a cause in lines: what, in how many cells, where the same is known."""
    first, *more = cause.checks
    cells = cause.cells
    which = cells[0] if len(cells) == 1 else f"{count(len(cells), 'cell')}, {cells[0]} first"
    yield f"{first}: {cause.says}"
    yield f"  in {which}" + (f"; with it {', '.join(more)}" if more else "")
    if cause.known_in:
        yield f"  {cause.known_in}"
