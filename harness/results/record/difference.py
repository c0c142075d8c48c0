# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What differs between two records: what went in, what the guest was handed, what it did with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.intervals import IntervalSet
from harness.results.record.told import acceptance, exits, ranges_text, verdict_of
from harness.results.report.cell import status_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.results.record_facts import RecordFacts

_STAMP = re.compile(r"^\[ *\d+\.\d+\] ")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b")
_TIME = re.compile(r"\b\d+\.\d+\b|\b\d+ ?(?:ns|us|ms|s|msecs|usecs)\b")
_CONSOLES = ("serial", "debugcon")
_BEFORE = 2
"""Lines that are shown before the first one that differs."""


def difference(one: RecordFacts, other: RecordFacts) -> dict[str, Any]:
    """Return what differs, by part; parts in which both are the same are left out.

    Each entry is a pair, of ``one`` and of ``other``; None stands for what one of them lacks.
    """
    parts: dict[str, Any] = {
        "ending": _pairs(_ending(one), _ending(other)),
        "cell": _pairs(_cell(one), _cell(other)),
        "inputs": _pairs(_inputs(one), _inputs(other)),
        "traits": _pairs(_flat(one.traits), _flat(other.traits)),
        "map": _ranges(_by(one.before, "type"), _by(other.before, "type")),
        "e820": _ranges(_by(one.after, "kind"), _by(other.after, "kind")),
        "exits": _pair(_exits(one), _exits(other)),
        "acceptance": _ranges(_accepted(one), _accepted(other)),
        "verdict": _pairs(_verdict(one), _verdict(other)) if one.checks and other.checks else None,
        "console": _console(one, other),
        "missing": _pair(list(one.missing), list(other.missing)),
    }
    return {name: part for name, part in parts.items() if part}


def as_text(found: Mapping[str, Any], one: RecordFacts, other: RecordFacts) -> str:
    """Return what ``harness diff`` prints to people."""
    lines = [f"A: {one.path}", f"B: {other.path}"]
    if not found:
        lines.append("nothing differs")
    for name, part in found.items():
        lines.append(name)
        if name == "console":
            lines += _console_text(part)
        elif isinstance(part, dict):
            lines += [f"  {key}: {_said(a)} → {_said(b)}" for key, (a, b) in part.items()]
        else:
            a, b = part
            lines += [f"  A: {text}" for text in a] + [f"  B: {text}" for text in b]
    return "\n".join(lines) + "\n"


def _said(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):
        return ranges_text(IntervalSet.of((start, end) for start, end in value))
    return "nothing" if value in (None, [], "") else str(value)


def _pairs(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = dict.fromkeys((*one, *other))
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def _pair(one: list[str], other: list[str]) -> tuple[list[str], list[str]] | None:
    return (one, other) if one != other else None


def _ending(facts: RecordFacts) -> dict[str, str]:
    record = facts.record
    if record is None:
        return {}
    ending = record.ending
    return {"kind": str(ending.kind), "phase": ending.phase, "detail": normal(ending.detail)}


def _cell(facts: RecordFacts) -> Mapping[str, Any]:
    return facts.cell or {"id": facts.name}  # a record from before its axes were written


def _inputs(facts: RecordFacts) -> dict[str, str]:
    record = facts.record
    if record is None:
        return {}
    found = {name: it.text or it.sha256[:16] for name, it in record.inputs.items()}
    return found | {"cmdline": str(record.spec.get("cmdline", "")), "QEMU": record.qemu_version}


def _flat(traits: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in traits.items():
        if key == "sources":
            continue  # what a trait was read from differs with each image
        if isinstance(value, dict):
            found |= _flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def _by(entries: Iterable[Any], attribute: str) -> dict[str, IntervalSet]:
    found: dict[str, list[tuple[int, int]]] = {}
    for entry in entries:
        found.setdefault(getattr(entry, attribute), []).append((entry.start, entry.end))
    return {kind: IntervalSet.of(bounds) for kind, bounds in found.items()}


def _accepted(facts: RecordFacts) -> dict[str, IntervalSet]:
    return {
        entry["phase"]: IntervalSet.of((start, end) for start, end in entry["ranges"])
        for entry in acceptance(facts)
    }


def _ranges(
    one: Mapping[str, IntervalSet], other: Mapping[str, IntervalSet]
) -> dict[str, tuple[list[list[int]], list[list[int]]]]:
    """Return by kind the addresses that only the one has, and those that only the other has."""
    nothing = IntervalSet.of(())
    found = {}
    for kind in dict.fromkeys((*one, *other)):
        a, b = one.get(kind, nothing), other.get(kind, nothing)
        if a - b or b - a:
            found[kind] = ([list(it) for it in a - b], [list(it) for it in b - a])
    return found


def _exits(facts: RecordFacts) -> list[str]:
    return [f"by {call['phase']}: {status_text(call['status'])}" for call in exits(facts)]


def _verdict(facts: RecordFacts) -> dict[str, str]:
    return {check: state for (check, _), state in verdict_of(facts.checks).items()}


def normal(line: str) -> str:
    """Return a console line without what differs each time: addresses and times."""
    return _TIME.sub("T", _ADDRESS.sub("X", _STAMP.sub("", line))).rstrip()


def _console(one: RecordFacts, other: RecordFacts) -> dict[str, Any] | None:
    """Return where a console first says something else, line numbers from 1, with the lines before."""
    for name in _CONSOLES:
        texts = [_text(facts, name) for facts in (one, other)]
        a, b = ([(number, line) for number, line in _numbered(text)] for text in texts)
        same = next(
            (at for at, (x, y) in enumerate(zip(a, b, strict=False)) if normal(x[1]) != normal(y[1])),
            min(len(a), len(b)),
        )
        if same == len(a) == len(b):
            continue
        return {
            "console": name,
            "before": [line for _, line in a[max(0, same - _BEFORE) : same]],
            "line": [lines[same] if same < len(lines) else None for lines in (a, b)],
        }
    return None


def _text(facts: RecordFacts, name: str) -> str:
    return facts.files.whole_text if name == "serial" else facts.files.debugcon_text


def _numbered(text: str) -> Iterable[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip())


def _console_text(part: Mapping[str, Any]) -> list[str]:
    lines = [f"  {part['console']}: the first line that differs, addresses and times aside"]
    lines += [f"         {line}" for line in part["before"]]
    for sign, found in zip("AB", part["line"], strict=True):
        said = f"{found[0]:5}: {found[1]}" if found is not None else "      it ends here"
        lines.append(f"  {sign} {said}")
    return lines
