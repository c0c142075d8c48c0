# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Source lines and functions that boots executed, of all modules that hold a source file's code together."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.evidence.symbols.debug_file import DebugFile, Line
    from harness.intervals import IntervalSet


@dataclass
class SourceFile:
    """A source file: how many boots executed each line that has code, and where its functions begin.

    ``functions``: name by the line of its declaration. ``path``: where the build had the file.
    """

    name: str
    path: str
    lines: dict[int, int] = field(default_factory=dict)
    functions: dict[int, str] = field(default_factory=dict)

    @property
    def hit(self) -> int:
        """How many lines were executed."""
        return sum(1 for count in self.lines.values() if count)

    def by_function(self) -> dict[str, dict[int, int]]:
        """Return the lines of each function, in their order; code before the first one is left out."""
        starts = sorted(self.functions)
        found: dict[str, dict[int, int]] = {self.functions[start]: {} for start in starts}
        for line in sorted(self.lines):
            at = bisect_right(starts, line) - 1
            if at >= 0:
                found[self.functions[starts[at]]][line] = self.lines[line]
        return {name: lines for name, lines in found.items() if lines}


def covered(
    boots: Iterable[Mapping[DebugFile, IntervalSet]], files: Iterable[DebugFile]
) -> dict[str, SourceFile]:
    """Return the source files of modules by name, with how many boots executed each line."""
    found: dict[str, SourceFile] = {}
    rows = {file: [line for line in file.lines if line.line and line.file] for file in files}
    for file, lines in rows.items():
        _declare(file, lines, found)
    for boot in boots:
        hit = {
            (line.file, line.line)
            for file, ranges in boot.items()
            for line in rows.get(file, ())
            if line.address in ranges
        }
        for name, number in hit:
            found[name].lines[number] += 1
    return found


def _declare(file: DebugFile, lines: Iterable[Line], found: dict[str, SourceFile]) -> None:
    """Add the source files of a module, with lines that nobody has executed yet, and their functions."""
    for line in lines:
        source = found.setdefault(line.file, SourceFile(line.file, file.sources.get(line.file, "")))
        source.lines.setdefault(line.line, 0)
    for function in file.declared:
        if function.file in found:
            found[function.file].functions.setdefault(function.line, function.name)
