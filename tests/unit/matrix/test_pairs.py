# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The cells of a run without --full: every pair of values, no cell that rules leave out, always the same."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.matrix.cell import TABLE, Cell
from harness.matrix.pairs import SMALL, cover, selection
from harness.matrix.plan import Plan, Planned

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.matrix.rules import Point

USUAL = tuple(axis.default for axis in TABLE[5:])


def points(firmware: int, kernels: int, loaders: int, sizes: int) -> list[Point]:
    product = itertools.product(*(range(count) for count in (firmware, kernels, loaders, sizes)))
    return [
        (f"f-{f}", f"k-{k}", f"l-{loader}", (size + 1) * 1024, "snp", *USUAL)
        for f, k, loader, size in product
    ]


def plan(of: Iterable[Point], **changes: object) -> Plan:
    return replace(Plan("s", tuple(Planned(Cell(*point), point) for point in of)), **changes)  # type: ignore[arg-type]


def pairs(of: Iterable[Point]) -> set[object]:
    return {pair for point in of for pair in itertools.combinations(enumerate(point), 2)}


@pytest.mark.parametrize("seed", range(10))
def test_every_pair_that_is_left_is_covered(seed: int) -> None:
    """Also when rules have left holes, and with cells that must be there."""
    chance = random.Random(seed)  # noqa: S311  # not for secrets
    some = [point for point in points(4, 6, 5, 3) if chance.random() < 0.6]
    always = [chance.random() < 0.02 for _ in some]
    chosen = cover(some, always)
    assert pairs(some[index] for index in chosen) == pairs(some)
    assert chosen >= {index for index, wanted in enumerate(always) if wanted}
    assert len(chosen) < len(some) / 2


def test_how_many_cells_it_takes() -> None:
    """12 kernels times 10 loaders cannot be had in fewer than 120 cells."""
    every = points(7, 12, 10, 2)
    chosen = cover(every, [False] * len(every))
    assert 120 <= len(chosen) <= 130
    used = [sum(every[index][0] == f"f-{number}" for index in chosen) for number in range(7)]
    assert max(used) <= 2 * min(used)  # no firmware is preferred


def test_the_choice_is_always_the_same() -> None:
    """Whatever the order of the file, and of Python's hashes."""
    every = points(3, 4, 5, 2)
    chosen = {every[index] for index in cover(every, [False] * len(every))}
    shuffled = random.Random(1).sample(every, len(every))  # noqa: S311  # not for secrets
    again = {shuffled[index] for index in cover(shuffled, [False] * len(shuffled))}
    assert chosen == again


def test_one_axis_alone_shows_all_its_values() -> None:
    every = points(1, 40, 1, 1)
    assert len(cover(every, [False] * 40)) == 40


def test_what_is_not_reduced() -> None:
    every = points(3, 4, 5, 2)
    assert len(selection(plan(every), full=True)) == 120
    assert len(selection(plan(every, selection="all"), full=False)) == 120
    assert len(selection(plan(every[:SMALL]), full=False)) == SMALL
    taken = selection(plan(every), full=False)
    assert 20 <= len(taken) < 30
    order = [planned.point for planned in taken]
    assert order == [point for point in every if point in order]


def test_included_cells_are_kept() -> None:
    made = plan(points(3, 4, 5, 2))
    kept = tuple(replace(planned, always=True) for planned in made.planned[:50])
    taken = selection(replace(made, planned=(*kept, *made.planned[50:])), full=False)
    assert set(taken) >= set(kept)


def test_ten_thousand_cells_are_reduced_quickly() -> None:
    every = points(10, 25, 20, 2)
    start = time.process_time()
    chosen = cover(every, [False] * len(every))
    assert time.process_time() - start < 10
    assert 500 <= len(chosen) < 520
