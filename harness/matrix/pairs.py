# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A small part of a plan that still has every pair of axis values that the whole has."""

from __future__ import annotations

import heapq
import itertools
import zlib
from typing import TYPE_CHECKING, Any

from harness.matrix.cell import AXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.matrix.plan import Plan, Planned
    from harness.matrix.rules import Point


SMALL = 12
"""Of no more cells than these all are taken."""


def selection(plan: Plan, *, full: bool) -> tuple[Planned, ...]:
    """Return the cells that a run takes, in the plan's order: all, or enough for every pair of values.

    A scenario that runs on request is one that somebody wants. Included cells are always taken. Only pairs
    that some cell has are wanted, so what exclude rules out stays out.
    """
    if full or plan.selection == "all" or len(plan.planned) <= SMALL:
        return plan.planned
    chosen = cover([planned.point for planned in plan.planned], [p.always for p in plan.planned])
    return tuple(plan.planned[index] for index in sorted(chosen))


def cover(points: Sequence[Point], always: Sequence[bool]) -> set[int]:
    """Choose points until each pair of values on two axes that some point has is in a chosen one.

    Greedy: next comes the point with the most new pairs. Among equals a checksum of the point decides, so
    that no axis's first values are preferred; the choice depends on the points alone, and not on the host.
    Axes on which all points are the same change nothing.
    """
    varying = [index for index in range(len(AXES)) if len({point[index] for point in points}) > 1]
    # A single axis still has to show each of its values.
    width = 2 if len(varying) > 1 else 1
    combinations = [*itertools.combinations(varying, width)]
    numbers: dict[tuple[Any, ...], int] = {}
    pairs = [
        _as_bits(numbers, (tuple((axis, point[axis]) for axis in axes) for axes in combinations))
        for point in points
    ]
    chosen = {index for index, wanted in enumerate(always) if wanted}
    covered = 0
    for index in chosen:
        covered |= pairs[index]
    # What a point adds only shrinks, so a stored number is a bound: a top entry that still holds is the best.
    heap = [
        (-own.bit_count(), zlib.crc32(repr([points[index][axis] for axis in varying]).encode()), index)
        for index, own in enumerate(pairs)
        if index not in chosen
    ]
    heapq.heapify(heap)
    while heap:
        bound, tie, index = heapq.heappop(heap)
        new = (pairs[index] & ~covered).bit_count()
        if new == -bound and new:
            chosen.add(index)
            covered |= pairs[index]
        elif new:
            heapq.heappush(heap, (-new, tie, index))
    return chosen


def _as_bits(numbers: dict[tuple[Any, ...], int], pairs: Iterable[tuple[Any, ...]]) -> int:
    """Return a set of pairs as one integer, each pair a bit: these are compared a hundred thousand times."""
    bits = 0
    for pair in pairs:
        bits |= 1 << numbers.setdefault(pair, len(numbers))
    return bits
