# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The little statistics that results need: a rate with its confidence interval, a median with its spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CONFIDENCE = 0.95
_STEPS = 60
"""Halvings of the interval from 0 to 1: more than a float can tell apart."""
_SIGMA = 1.4826
"""By which the MAD of a normal distribution is multiplied to give its standard deviation."""


@dataclass(frozen=True)
class Rate:
    """How often something happened, with the exact (Clopper-Pearson) 95 % interval of its probability."""

    times: int
    of: int
    low: float
    high: float

    def __str__(self) -> str:
        """Return such as ``1 of 50, 95 %: 0.05 to 10.6 %``."""
        return f"{self.times} of {self.of}, 95 %: {_percent(self.low)} to {_percent(self.high)} %"


def rate(times: int, of: int) -> Rate:
    """Return a rate; ValueError unless 0 <= times <= of and of > 0."""
    if not 0 <= times <= of or not of:
        raise ValueError(f"{times} of {of} is no rate")
    tail = (1 - _CONFIDENCE) / 2
    # Each bound is the probability at which what was seen, or anything beyond it, has just the tail's chance.
    low = 0.0 if times == 0 else _solve(lambda p: _at_most(of - times, of, 1 - p) - tail)
    high = 1.0 if times == of else 1 - _solve(lambda p: _at_most(times, of, 1 - p) - tail)
    return Rate(times, of, low, high)


def _solve(rising: Callable[[float], float]) -> float:
    """Return where a rising function of a probability is zero."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _at_most(times: int, of: int, probability: float) -> float:
    """Return the chance of at most ``times`` successes in ``of`` trials."""
    rest = 1 - probability
    return math.fsum(math.comb(of, k) * probability**k * rest ** (of - k) for k in range(times + 1))


def _percent(share: float) -> str:
    value = 100 * share
    return f"{value:.2f}" if value < 1 else f"{value:.3g}"


@dataclass(frozen=True)
class Spread:
    """Samples in short: their median, and the median of their distances from it (MAD)."""

    median: float
    mad: float
    count: int

    @property
    def sigma(self) -> float:
        """Return the standard deviation that a normal distribution with this MAD has."""
        return _SIGMA * self.mad


def spread(samples: Sequence[float]) -> Spread:
    """Return median and MAD; ValueError for no samples."""
    if not samples:
        raise ValueError("no samples")
    middle = median(samples)
    return Spread(middle, median(abs(sample - middle) for sample in samples), len(samples))
