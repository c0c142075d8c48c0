# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A figure and its goal: one line on the terminal, and one in the file that ``python -m bench`` reads."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = "BENCH_RESULTS"
"""Environment variable: the file that takes a figure a line, as JSON; without it nothing is kept."""


@dataclass(frozen=True)
class Figure:
    """What was measured. ``goal`` is the most that it may be, with ``at_least`` the least, if any."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the goal is met."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        """Return it as a line."""
        shown = f"{self.name}: {self.value:.3g} {self.unit}".rstrip()
        if self.goal is None:
            return shown
        limit = "least" if self.at_least else "most"
        return f"{shown}; goal at {limit} {self.goal:g}: {'holds' if self.holds else 'DOES NOT HOLD'}"


def tell(figure: Figure, beside: str = "") -> bool:
    """Print a figure, with what else was seen, and keep it; True when its goal is met."""
    print(f"{figure}{f' ({beside})' if beside else ''}", flush=True)
    if path := os.environ.get(RESULTS):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figure)) + "\n")
    return figure.holds
