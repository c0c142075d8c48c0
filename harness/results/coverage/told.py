# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Coverage as text, as data, and as lcov's trace file. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.evidence.symbols.covered import SourceFile

ACCEPTANCE = re.compile(
    r"^OvmfPkg/(?:AmdSevDxe/|PlatformPei/AmdSev\.c|Sec/AmdSev\.c|Library/(?:BaseMemEncryptSevLib|CcExitLib)/)"
)
"""Source files that make a guest accept its memory, and answer questions meanwhile."""


def chosen(sources: Iterable[SourceFile], pattern: re.Pattern[str]) -> list[SourceFile]:
    """Return the source files whose names match, in order of their names."""
    return sorted((it for it in sources if pattern.search(it.name)), key=lambda it: it.name)


def never_run(source: SourceFile) -> list[str]:
    """Return the functions of a file of which no boot executed any line."""
    return [name for name, lines in source.by_function().items() if not any(lines.values())]


def as_data(firmware: str, boots: Sequence[str], sources: Sequence[SourceFile]) -> dict[str, Any]:
    """Return what ``harness coverage --json`` prints: by file the lines with how many boots executed each."""
    return {
        "schema": 1,
        "firmware": firmware,
        "boots": list(boots),
        "files": [
            {
                "name": it.name,
                "lines": {str(line): count for line, count in sorted(it.lines.items())},
                "functions": {
                    name: sum(1 for count in lines.values() if count) / len(lines)
                    for name, lines in it.by_function().items()
                },
                "never_run": never_run(it),
            }
            for it in sources
        ],
    }


def as_text(firmware: str, boots: Sequence[str], sources: Sequence[SourceFile]) -> Iterator[str]:
    """Yield what people read: each file's lines, and below it what no boot executed."""
    yield f"{firmware}: {len(boots)} boots"
    for it in sources:
        share = 100 * it.hit // max(1, len(it.lines))
        yield f"{share:3} %  {it.hit}/{len(it.lines)} lines  {it.name}"
        if missed := never_run(it):
            yield f"       never run: {', '.join(missed)}"
        whole = set(missed)
        for name, lines in it.by_function().items():
            if name not in whole and (
                gaps := ranges_text([line for line, count in lines.items() if not count])
            ):
                yield f"       {name}: not lines {gaps}"
    hit, every = sum(it.hit for it in sources), sum(len(it.lines) for it in sources)
    yield f"{100 * hit // max(1, every):3} %  {hit}/{every} lines in all"


def ranges_text(lines: Sequence[int]) -> str:
    """Return numbers in words, those that follow each other as one range: ``3-5, 9``."""
    found: list[list[int]] = []
    for line in sorted(lines):
        if found and line == found[-1][1] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def as_lcov(sources: Iterable[SourceFile]) -> Iterator[str]:
    """Yield the lines of a trace file as lcov and genhtml read it (geninfo(1), "FILES")."""
    for it in sources:
        yield "TN:"
        yield f"SF:{it.path or it.name}"
        functions = it.by_function()
        starts = {name: line for line, name in it.functions.items()}
        for name in functions:
            yield f"FN:{starts[name]},{name}"
        for name, lines in functions.items():
            yield f"FNDA:{max(lines.values())},{name}"
        yield f"FNF:{len(functions)}"
        yield f"FNH:{sum(1 for lines in functions.values() if any(lines.values()))}"
        for line, count in sorted(it.lines.items()):
            yield f"DA:{line},{count}"
        yield f"LF:{len(it.lines)}"
        yield f"LH:{it.hit}"
        yield "end_of_record"
