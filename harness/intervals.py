# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sets of byte addresses as sorted, disjoint, half-open intervals: cost follows intervals, never pages."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Bounds = tuple[int, int]
"""(start, end) in bytes, end exclusive."""


_PAGE, _MIB, _GIB = 4096, 1 << 20, 1 << 30


def amount(size: int) -> str:
    """Return a number of bytes for people, exactly: ``6 GiB``, ``5.36 GiB (5488 MiB)``, ``3 pages``."""
    if size % _GIB == 0 and size:
        return f"{size // _GIB} GiB"
    if size % _MIB == 0 and size:
        whole = f"{size // _MIB} MiB"
        return f"{size / _GIB:.2f} GiB ({whole})" if size > _GIB else whole
    if size % _PAGE:
        return f"{size} bytes"
    pages = size // _PAGE
    whole = f"{pages} page{'' if pages == 1 else 's'}"
    if size > _GIB:
        return f"{size / _GIB:.2f} GiB ({whole})"
    return f"{size / _MIB:.2f} MiB ({whole})" if size > _MIB else whole


@dataclass(frozen=True)
class IntervalSet:
    """An immutable set of addresses; ``bounds`` holds its (start, end) pairs, sorted and not touching.

    Make one with ``IntervalSet.of``, which sorts and merges.
    """

    bounds: tuple[Bounds, ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[Bounds]) -> Self:
        """Union of (start, end) pairs in any order; empty pairs vanish, end before start is a ValueError."""
        merged: list[list[int]] = []
        for start, end in sorted(pairs):
            if end < start:
                raise ValueError(f"interval ends before it starts: {start:#x}-{end:#x}")
            if end == start:
                continue
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        return cls(tuple((start, end) for start, end in merged))

    @classmethod
    def span(cls, start: int, end: int) -> Self:
        """Return the set of ``[start, end)``; ValueError if ``end`` is below ``start``."""
        return cls.of([(start, end)])

    def __iter__(self) -> Iterator[Bounds]:
        return iter(self.bounds)

    def __bool__(self) -> bool:
        return bool(self.bounds)

    def __contains__(self, address: int) -> bool:
        index = bisect_right(self.bounds, address, key=lambda pair: pair[0]) - 1
        return index >= 0 and address < self.bounds[index][1]

    def __or__(self, other: IntervalSet) -> IntervalSet:
        return IntervalSet.of((*self.bounds, *other.bounds))

    def __and__(self, other: IntervalSet) -> IntervalSet:
        common = []
        i = j = 0
        while i < len(self.bounds) and j < len(other.bounds):
            start = max(self.bounds[i][0], other.bounds[j][0])
            end = min(self.bounds[i][1], other.bounds[j][1])
            if start < end:
                common.append((start, end))
            if self.bounds[i][1] < other.bounds[j][1]:
                i += 1
            else:
                j += 1
        return IntervalSet(tuple(common))

    def __sub__(self, other: IntervalSet) -> IntervalSet:
        if not self.bounds:
            return self
        low, high = self.bounds[0][0], self.bounds[-1][1]
        return self & other.complement(low, high)

    def complement(self, low: int, high: int) -> IntervalSet:
        """Return the part of [low, high) that is not in the set."""
        gaps = []
        cursor = low
        for start, end in self.bounds:
            if start > cursor:
                gaps.append((cursor, min(start, high)))
            cursor = max(cursor, end)
        if cursor < high:
            gaps.append((cursor, high))
        return IntervalSet.of((start, end) for start, end in gaps if start < end)

    def from_address(self, address: int) -> IntervalSet:
        """Return the part at ``address`` and above."""
        return self & IntervalSet.span(address, 1 << 64)

    @property
    def size(self) -> int:
        """Bytes in the set."""
        return sum(end - start for start, end in self.bounds)

    @property
    def amount(self) -> str:
        """How much memory it is, for people: ``2 MiB``."""
        return amount(self.size)

    def __str__(self) -> str:
        return ", ".join(f"[{start:#x}-{end - 1:#x}]" for start, end in self.bounds) or "nothing"


class IntervalAccumulator:
    """A set of addresses that grows and shrinks; each change costs a binary search plus what it touches."""

    def __init__(self) -> None:
        # Sorted and of equal length; interval i is [starts[i], ends[i]), and intervals never touch.
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add ``[start, end)``; intervals that touch become one."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)  # first interval that touches or lies behind
        last = bisect_right(self._starts, end)  # first interval that lies wholly behind
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def remove(self, start: int, end: int) -> None:
        """Remove ``[start, end)``, whatever of it is there."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)  # first interval with anything behind start
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        before, after = self._starts[first], self._ends[last - 1]
        starts, ends = [], []
        if before < start:
            starts.append(before)
            ends.append(start)
        if end < after:
            starts.append(end)
            ends.append(after)
        self._starts[first:last] = starts
        self._ends[first:last] = ends

    def overlap(self, start: int, end: int) -> IntervalSet:
        """Return the part of [start, end) that is in the set."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        pairs = zip(self._starts[first:last], self._ends[first:last], strict=True)
        return IntervalSet(tuple((max(start, low), min(end, high)) for low, high in pairs if low < high))

    def frozen(self) -> IntervalSet:
        """Return what has been gathered, as a value."""
        return IntervalSet(tuple(zip(self._starts, self._ends, strict=True)))
