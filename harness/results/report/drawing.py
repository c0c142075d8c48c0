# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Pictures of a boot as SVG: its phases, its memory with a broken address axis, acceptance over time.

Drawn by hand because a plotting library's script alone is larger than a whole report may be. Everything that
comes from a guest is escaped; colours are classes of the style sheet, so that light and dark both work.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.intervals import IntervalSet

WIDTH = 1000
_LABELS = 150
"""Width of the names left of a picture."""
_LANE = 26
_GAP = 10
_PAGE = 4096
_HOLE = 3.0
"""Weight of a stretch without RAM, however large."""
_TICKS = 6
_LABEL = 90.0
"""Width of an address as a label."""


@dataclass(frozen=True)
class Band:
    """A stretch of addresses in bytes, ``end`` exclusive; ``kind`` is a class of the style sheet."""

    start: int
    end: int
    kind: str
    title: str


@dataclass(frozen=True)
class Lane:
    """One view of the memory, drawn as one row."""

    name: str
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Mark:
    """A moment in seconds since the guest was let run."""

    t: float
    title: str


def size_text(size: int) -> str:
    """Return a size in the largest binary unit that is whole, or with one decimal: ``6 GiB``, ``1.5 MiB``."""
    for unit, shift in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift:
            value = size / (1 << shift)
            return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"
    return f"{size} bytes"


class _Axis:
    """Addresses to x: each stretch between two boundaries has a width by the logarithm of its size."""

    def __init__(self, boundaries: Iterable[int], ram: IntervalSet) -> None:
        points = sorted({*boundaries, *(edge for bounds in ram for edge in bounds)})
        weights = []
        for start, end in pairwise(points):
            inside = start in ram
            weights.append(1.0 + math.log2((end - start) / _PAGE + 1) if inside else _HOLE)
        total = sum(weights) or 1.0
        width = WIDTH - _LABELS
        xs = [float(_LABELS)]
        for weight in weights:
            xs.append(xs[-1] + weight / total * width)
        self._points, self._xs = points, xs
        self.holes = [(xs[n], xs[n + 1]) for n, start in enumerate(points[:-1]) if start not in ram]

    def x(self, address: int) -> float:
        points, xs = self._points, self._xs
        at = bisect_right(points, address) - 1
        if at < 0:
            return xs[0]
        if at >= len(points) - 1:
            return xs[-1]
        share = (address - points[at]) / (points[at + 1] - points[at])
        return xs[at] + share * (xs[at + 1] - xs[at])

    def shown(self, ram: IntervalSet) -> list[tuple[float, int]]:
        """Return where the ends of RAM are: the addresses worth a label."""
        return [(self.x(edge), edge) for bounds in ram for edge in bounds]


def memory_picture(lanes: Sequence[Lane], ram: IntervalSet) -> Markup:
    """Return the lanes one above the other, over the configured RAM."""
    axis = _Axis((edge for lane in lanes[:1] for band in lane.bands for edge in (band.start, band.end)), ram)
    height = len(lanes) * (_LANE + _GAP) + 30
    parts = [
        Markup('<svg class="picture" viewBox="0 0 {} {}" role="img" aria-label="memory">').format(
            WIDTH, height
        )
    ]
    for number, lane in enumerate(lanes):
        top = number * (_LANE + _GAP)
        parts.append(_text(0, top + _LANE / 2 + 4, lane.name))
        parts += [_rectangle(axis, band, top) for band in lane.bands]
    bottom = len(lanes) * (_LANE + _GAP)
    for left, right in axis.holes:
        parts.append(
            Markup('<rect class="hole" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>').format(
                left, right - left, bottom - _GAP
            )
        )
    free = [-_LABEL, -_LABEL]  # by row of labels: up to where it is taken
    for x, address in axis.shown(ram):
        parts.append(
            Markup('<line class="tick" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(
                x, bottom - _GAP, bottom - 4
            )
        )
        row = next((row for row, taken in enumerate(free) if x - taken >= _LABEL), None)
        if row is not None:
            middle = min(x, WIDTH - _LABEL / 2)
            parts.append(_text(middle, bottom + 10 + 14 * row, f"{address:#x}", anchor="middle"))
            free[row] = x
    return Markup("").join([*parts, Markup("</svg>")])


def _picture(height: int, label: str) -> Markup:
    return Markup('<svg class="picture" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        WIDTH, height, label
    )


def _rectangle(axis: _Axis, band: Band, top: float) -> Markup:
    left = axis.x(band.start)
    width = max(axis.x(band.end) - left, 0.6)
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>'
    ).format(band.kind, left, top, width, _LANE, band.title)


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> Markup:
    shape = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return shape.format(kind, x, y, anchor, text)


def timeline(phases: Sequence[tuple[str, float]], seconds: float, marks: Sequence[Mark] = ()) -> Markup:
    """Return the phases of a boot as one bar: names with the seconds at which each began."""
    scale = (WIDTH - 2) / max(seconds, 0.001)
    parts = [_picture(74, "phases")]
    ends = [*(t for _, t in phases[1:]), seconds]
    for number, ((name, begin), end) in enumerate(zip(phases, ends, strict=True)):
        left, width = 1 + begin * scale, max((end - begin) * scale, 1)
        title = f"{name}: {end - begin:.2f} s, from {begin:.2f} s"
        parts.append(
            Markup(
                '<rect class="phase{}" x="{:.1f}" y="4" width="{:.1f}" height="28"><title>{}</title></rect>'
            ).format(number % 2, left, width, title)
        )
        if width > 7 * len(name):
            parts.append(_text(left + 4, 22, name, kind="on"))
    for mark in marks:
        x = 1 + min(mark.t, seconds) * scale
        parts.append(
            Markup(
                '<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="40"><title>{1}</title></line>'
            ).format(x, mark.title)
        )
    parts += _seconds_axis(seconds, scale, 46)
    return Markup("").join([*parts, Markup("</svg>")])


def _seconds_axis(seconds: float, scale: float, y: float, left: float = 1.0) -> Iterable[Markup]:
    step = _step(seconds / _TICKS)
    count = int(seconds / step + 1e-9)
    for number in range(count + 1):
        x = left + number * step * scale
        yield Markup('<line class="tick" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(x, y, y + 5)
        yield _text(x, y + 20, f"{number * step:g} s", "start" if number == 0 else "middle")


def _step(wanted: float) -> float:
    """Return the next of 1, 2, 5, 10, … (times a power of ten) that is not less than what is wanted."""
    power = 10.0 ** math.floor(math.log10(max(wanted, 1e-6)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * 0.999)


def acceptance_plot(
    series: Mapping[str, Sequence[tuple[float, int]]], seconds: float, marks: Sequence[Mark] = ()
) -> Markup:
    """Return who accepted how much by when: a step line each, of pairs of seconds and bytes so far.

    The scale of bytes is logarithmic: a kernel that accepts lazily takes MiB where a firmware takes GiB.
    """
    height, top, bottom = 250, 16, 216
    most = max((line[-1][1] for line in series.values() if line), default=1)
    low, high = 12.0, max(math.log2(most), 13.0)  # from one page
    scale = (WIDTH - _LABELS - 2) / max(seconds, 0.001)
    parts = [_picture(height, "acceptance")]

    def place(t: float, size: int) -> str:
        share = (math.log2(max(size, _PAGE)) - low) / (high - low)
        return f"{_LABELS + min(t, seconds) * scale:.1f},{bottom - share * (bottom - top):.1f}"

    for power in range(12, math.floor(high) + 1, 4):
        y = bottom - (power - low) / (high - low) * (bottom - top)
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                _LABELS, WIDTH, y, y
            )
        )
        parts.append(_text(_LABELS - 6, y + 4, size_text(1 << power), anchor="end"))
    for name, line in series.items():
        points = []
        before = 0
        for t, size in line:
            points += [place(t, before), place(t, size)]
            before = size
        points.append(place(seconds, before))
        title = f"{name}: {size_text(before)}"
        parts.append(
            Markup('<polyline class="line by-{}" points="{}"><title>{}</title></polyline>').format(
                name, " ".join(points), title
            )
        )
    for mark in marks:
        x = _LABELS + min(mark.t, seconds) * scale
        parts.append(
            Markup(
                '<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="6" y2="{1}"><title>{2}</title></line>'
            ).format(x, bottom, mark.title)
        )
    parts += _seconds_axis(seconds, scale, bottom, _LABELS)
    return Markup("").join([*parts, Markup("</svg>")])
