# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Rates with their intervals against published values, and spreads."""

from __future__ import annotations

import pytest

from harness.results.statistics import rate, spread


# Clopper and Pearson, Biometrika 26 (1934), the exact method; values as R's binom.test gives them.
@pytest.mark.parametrize(
    ("times", "of", "low", "high"),
    [
        (1, 50, 0.0005062, 0.1064695),
        (0, 20, 0.0, 0.1684335),
        (20, 20, 0.8315665, 1.0),
        (5, 10, 0.1870860, 0.8129140),
        (3, 7, 0.0989883, 0.8159484),
        (0, 1, 0.0, 0.975),
    ],
)
def test_exact_intervals(times: int, of: int, low: float, high: float) -> None:
    found = rate(times, of)
    assert [found.low, found.high] == pytest.approx([low, high], abs=1e-6)


def test_a_rate_in_words() -> None:
    assert str(rate(1, 50)) == "1 of 50, 95 %: 0.05 to 10.6 %"


@pytest.mark.parametrize(("times", "of"), [(0, 0), (2, 1), (-1, 3)])
def test_no_rate(times: int, of: int) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        rate(times, of)


def test_one_wild_sample_does_not_move_the_spread() -> None:
    calm, wild = spread([1.0, 1.1, 0.9, 1.0, 1.05]), spread([1.0, 1.1, 0.9, 1.0, 100.0])
    assert wild.median == calm.median == 1.0
    assert wild.mad <= 2 * calm.mad
    with pytest.raises(ValueError, match="no samples"):
        spread([])
