# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A record as data for programs, and as text for people: both from the same facts."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from harness.evidence.ledger_model import VALIDATING
from harness.evidence.record import EndingKind
from harness.intervals import IntervalSet, amount
from harness.machine.memory_dump import INDEX, file_text
from harness.results.model import BAD
from harness.results.record_facts import seconds_of
from harness.results.report.cell import WHO, status_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.results.model import CheckLine
    from harness.results.record_facts import RecordFacts

_AROUND = 3
_MOST_RANGES = 6
_MOST_LINES = 12
_MOST_CITED = 24
_LEAST_CITED = 12
"""Characters of a line that a finding cites: a shorter one would be found anywhere."""


def as_data(facts: RecordFacts) -> dict[str, Any]:
    """Return what ``harness show --json`` prints; addresses are numbers, ``end`` exclusive, sizes bytes."""
    record = facts.record
    return {
        "schema": 1,
        "cell": facts.name,
        "axes": dict(facts.cell),
        "ending": None if record is None else _ending(facts),
        "timeline": timeline(facts),
        "inputs": {} if record is None else {name: it.sha256 for name, it in record.inputs.items()},
        "map": {
            "before": [{"start": it.start, "end": it.end, "type": it.type} for it in facts.before],
            "after": [{"start": it.start, "end": it.end, "kind": it.kind} for it in facts.after],
            "lost": [list(bounds) for bounds in facts.usable_before - facts.usable_after],
            "gained": [list(bounds) for bounds in facts.usable_after - facts.usable_before],
        },
        "acceptance": acceptance(facts),
        "exits": exits(facts),
        "kernel_trace": kernel_traced(facts),
        "checks": [line.model_dump(mode="json") for line in facts.checks],
        "missing": list(facts.missing),
    }


def _ending(facts: RecordFacts) -> dict[str, Any]:
    assert facts.record is not None
    ending = facts.record.ending
    return {
        "kind": str(ending.kind),
        "phase": ending.phase,
        "last_line": ending.last_line,
        "detail": ending.detail,
        "seconds": facts.seconds,
    }


def timeline(facts: RecordFacts) -> list[dict[str, Any]]:
    """Return phases, calls of ExitBootServices and remarks in the order of their times, in seconds."""
    record = facts.record
    if record is None:
        return []
    ends = [*(mark.t for mark in record.phases[1:]), facts.seconds]
    found: list[dict[str, Any]] = [
        {"t": mark.t, "what": mark.name, "seconds": round(max(0.0, end - mark.t), 4)}
        for mark, end in zip(record.phases, ends, strict=True)
    ]
    calls = facts.ledger.exits if facts.ledger is not None else ()
    found += [
        {"t": seconds_of(it.t), "what": f"ExitBootServices by {it.phase}: {status_text(it.status)}"}
        for it in calls
    ]
    found += [{"t": it.t, "what": f"{it.console}: {it.line}"} for it in record.remarks[:_MOST_LINES]]
    return sorted(found, key=lambda entry: entry["t"])


def acceptance(facts: RecordFacts) -> list[dict[str, Any]]:
    """Return by phase what it validated: bytes, ranges, and the lines and times of the first and the last."""
    if facts.ledger is None:
        return []
    events = defaultdict(list)
    for event in facts.ledger.events:
        if event.op in VALIDATING:
            events[event.phase].append(event)
    found = []
    for who in WHO:
        if mine := events.get(who):
            ranges = IntervalSet.of((event.gpa, event.end) for event in mine)
            found.append(
                {
                    "phase": who,
                    "bytes": ranges.size,
                    "ranges": [list(bounds) for bounds in ranges],
                    "lines": [mine[0].line, mine[-1].line],
                    "t": [seconds_of(mine[0].t), seconds_of(mine[-1].t)],
                }
            )
    return found


def exits(facts: RecordFacts) -> list[dict[str, Any]]:
    """Return the calls of ExitBootServices."""
    calls = facts.ledger.exits if facts.ledger is not None else ()
    return [
        {"t": seconds_of(it.t), "phase": it.phase, "map_key": it.map_key, "status": it.status, "rip": it.rip}
        for it in calls
    ]


def kernel_traced(facts: RecordFacts) -> dict[str, Any] | None:
    """Return what the host's kernel saw of page state changes, on hardware; None where it traced nothing."""
    seen = facts.kernel_trace
    if seen is None:
        return None
    pages = [{"start": it.start, "private": it.private, "t": it.t} for it in seen.pages]
    counts = {"lists": seen.lists, "faults": list(seen.faults), "lost": seen.lost}
    return {"pages": pages, **counts, "strength": seen.strength}


def as_text(facts: RecordFacts, ended: str = "") -> str:
    """Return what ``harness show`` prints to people; ``ended`` says how it ended, where no finding does."""
    return "\n".join(_lines(facts, ended)) + "\n"


def says_how_it_ended(facts: RecordFacts) -> bool:
    """Return whether a finding of the record does, or the boot ended as a whole one."""
    whole = facts.record is None or facts.record.ending.kind is EndingKind.COMPLETED
    return whole or _first_finding(facts) != ""


def _first_finding(facts: RecordFacts) -> str:
    bad = (line for line in facts.checks if line.state in BAD)
    return next((finding.says for line in bad for finding in line.findings), "")


def _lines(facts: RecordFacts, ended: str) -> Iterable[str]:
    yield from _headline(facts, ended)
    yield from (f"  cannot be shown: {told}" for told in facts.missing)
    yield from _section("timeline", _timeline(facts))
    yield from _section("memory: handed over → e820", _maps(facts))
    yield from _section("validated by", _acceptance(facts))
    yield from _section("calls of ExitBootServices", _exits(facts))
    yield from _section("the host's kernel saw", [str(facts.kernel_trace)] if facts.kernel_trace else ())
    yield from _findings(facts)
    yield from _section("guest memory kept", _memory(facts))
    yield f"record: {facts.path}"


def _headline(facts: RecordFacts, ended: str) -> Iterable[str]:
    record = facts.record
    if record is None:
        yield f"{facts.name}: how it ended is unknown"
        return
    ending = record.ending
    yield f"{facts.name}: {ending.kind} in phase {ending.phase} after {facts.seconds:.1f} s"
    if first := _first_finding(facts) or ended:
        yield f"  {first}"
    if ending.detail not in first:
        yield f"  {ending.detail}"
    if ending.last_line:
        yield f"  last line: {ending.last_line}"
    if own := facts.traits.get("own"):
        yield "  with own files: " + ", ".join(f"--{name} {value}" for name, value in own.items())


def _section(title: str, lines: Iterable[str]) -> Iterable[str]:
    inside = list(lines)
    if inside:
        yield from (title, *(f"  {line}" for line in inside))


def _timeline(facts: RecordFacts) -> Iterable[str]:
    for entry in timeline(facts):
        lasted = f" ({entry['seconds']:.3f} s)" if "seconds" in entry else ""
        yield f"{entry['t']:9.3f} s  {entry['what']}{lasted}"


def _maps(facts: RecordFacts) -> Iterable[str]:
    before = _totals((it.type, it.end - it.start) for it in facts.before)
    after = _totals((it.kind, it.end - it.start) for it in facts.after)
    if before:
        yield "before: " + before
    if after:
        yield "after:  " + after
    if facts.before and facts.after:
        lost = facts.usable_before - facts.usable_after
        gained = facts.usable_after - facts.usable_before
        yield f"usable before, not after: {ranges_text(lost)}"
        yield f"usable after, not before: {ranges_text(gained)}"


def _totals(parts: Iterable[tuple[str, int]]) -> str:
    sizes: dict[str, int] = defaultdict(int)
    for kind, size in parts:
        sizes[kind] += size
    return ", ".join(f"{kind} {amount(size)}" for kind, size in sizes.items())


def ranges_text(ranges: IntervalSet) -> str:
    """Return a set of addresses in words: its size, and its first ranges."""
    if not ranges:
        return "nothing"
    shown = [f"[{start:#x}-{end - 1:#x}]" for start, end in ranges]
    more = f" and {len(shown) - _MOST_RANGES} more" if len(shown) > _MOST_RANGES else ""
    return f"{amount(ranges.size)}: {', '.join(shown[:_MOST_RANGES])}{more}"


def _acceptance(facts: RecordFacts) -> Iterable[str]:
    for entry in acceptance(facts):
        ranges = IntervalSet.of((start, end) for start, end in entry["ranges"])
        first, last = entry["t"]
        lines = "{}-{}".format(*entry["lines"])
        yield f"{entry['phase']:13} {ranges_text(ranges)} ({first:.3f}-{last:.3f} s, ledger lines {lines})"


def _exits(facts: RecordFacts) -> Iterable[str]:
    for call in exits(facts):
        answer = status_text(call["status"])
        key, rip = f"map key {call['map_key']:#x}", f"{call['rip']:#x}"
        yield f"{call['t']:9.3f} s  by {call['phase']}, {key}, returns to {rip}: {answer}"


def _memory(facts: RecordFacts) -> Iterable[str]:
    """Yield what files of guest memory the record has; what is damaged is named elsewhere."""
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        index = json.loads(facts.files.bytes_of(INDEX) or b"{}")
        for file in index.get("files", ()):
            yield file_text(file, index["holds"])


def _findings(facts: RecordFacts) -> Iterable[str]:
    if not facts.checks:
        yield "not judged"
        return
    bad = [line for line in facts.checks if line.state in BAD or line.findings]
    asked = [line for line in facts.checks if line.state != "not-asked"]
    yield f"{len(asked)} checks asked, {sum(line.state in BAD for line in asked)} of them bad"
    for line in bad:
        yield f"{line.check}: {line.state}{': ' + line.reason if line.reason else ''}"
        for finding in line.findings:
            yield f"  {finding.says}"
            yield from (f"    {cited}" for cited in _around(facts, finding.evidence))


def _around(facts: RecordFacts, evidence: Sequence[str]) -> Iterable[str]:
    """Yield a finding's lines; those of a console with the lines around them, the cited ones marked.

    What is cited of one place of a console is shown as one.
    """
    texts = [text.splitlines() for text in (facts.files.whole_text, facts.files.debugcon_text)]
    cited = [set[int](), set[int]()]
    for line in list(dict.fromkeys(evidence))[:_MOST_CITED]:
        wanted = line.strip()
        found = next(
            ((which, at) for which, lines in enumerate(texts) if (at := _at(lines, wanted)) >= 0), None
        )
        if found is None:
            yield f"> {wanted}"
        else:
            cited[found[0]].add(found[1])
    for lines, marked in zip(texts, cited, strict=True):
        shown = {near for at in marked for near in range(at - _AROUND, at + _AROUND + 1)}
        for number in sorted(shown & set(range(len(lines)))):
            yield f"{'>' if number in marked else ' '} {number + 1:5} {lines[number]}"


def _at(lines: Sequence[str], wanted: str) -> int:
    return next((number for number, line in enumerate(lines) if _is(line, wanted)), -1)


def _is(line: str, wanted: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and (
        stripped == wanted
        or (len(wanted) >= _LEAST_CITED and wanted in stripped)
        or (len(stripped) >= _LEAST_CITED and stripped in wanted)
    )


def verdict_of(checks: Iterable[CheckLine]) -> Mapping[tuple[str, str], str]:
    """Return the state of each question, by check and scenario."""
    return {(line.check, line.scenario): line.state for line in checks}
