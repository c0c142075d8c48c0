# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reading and replaying acceptance ledgers."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from bench.judging import write_ledger
from harness.errors import HarnessError
from harness.evidence.ledger import read_ledger
from harness.evidence.ledger_model import Event, Ledger, replay
from harness.intervals import IntervalAccumulator, IntervalSet
from tests.support.data import DATA

if TYPE_CHECKING:
    from pathlib import Path

HEADER = {
    "type": "header",
    "format": "snp-ledger",
    "version": 2,
    "page-size": 4096,
    "ram": [[0, 0x8000_0000], [0x1_0000_0000, 0x1_8000_0000]],
}
END = {"type": "end", "t": 9}
FAULT = {
    "type": "fault",
    "op": "dma-private-read",
    "t": 1,
    "vcpu": -1,
    "gpa": 0x1000,
    "rip": 0,
    "cpl": 0,
    "access": "read",
    "phase": "kernel",
}
MIB = 1 << 20


def line(op: str, gpa: int, size: int = 4096, phase: str = "firmware", **more: Any) -> dict[str, Any]:
    return {
        "type": "event",
        "t": 1,
        "vcpu": 0,
        "op": op,
        "gpa": gpa,
        "size": size,
        "count": size // 4096,
        "entry": 4096,
        "rip": 1,
        "cpl": 0,
        "phase": phase,
        **more,
    }


def ledger_of(tmp_path: Path, *lines: dict[str, Any], header: dict[str, Any] = HEADER) -> Ledger:
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in (header, *lines)))
    return read_ledger(path)


def test_real_sample() -> None:
    ledger = read_ledger(DATA / "snp-emulated-6.1-8G.ledger.jsonl")
    assert not ledger.truncated
    assert ledger.ram.size == 8192 * MIB
    assert ledger.validated_by("firmware").from_address(1 << 32).size == 0
    assert ledger.validated_by("firmware-ebs").from_address(1 << 32).size == 6144 * MIB
    assert ledger.pages("validate", "firmware") + ledger.pages("validate", "firmware-ebs") == 2098437
    refused, granted = ledger.exits
    assert (refused.status, granted.status) == ((1 << 63) | 2, 0)
    assert refused.map_key != granted.map_key
    assert {call.phase for call in ledger.exits} == {"efi-stub"}
    assert ledger.handover == granted.returned
    assert ledger.validated_twice() == ()


def test_truncated_is_said(tmp_path: Path) -> None:
    assert ledger_of(tmp_path, line("validate", 0)).truncated
    assert not ledger_of(tmp_path, line("validate", 0), END).truncated


def test_half_a_line_is_truncation_not_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps(HEADER) + "\n" + json.dumps(line("validate", 0)) + '\n{"type":"ev')
    ledger = read_ledger(path)
    assert ledger.truncated
    assert len(ledger.events) == 1


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({**line("validate", 0), "op": "teleport"}, r"Invalid enum value 'teleport' - at `\$.op`"),
        (line("validate", 0, phase="lunch"), r"Invalid enum value 'lunch' - at `\$.phase`"),
        ({**line("validate", 0), "gpa": "0x0"}, r"Expected `int`, got `str` - at `\$.gpa`"),
        ({**line("validate", 0), "gpa": True}, r"Expected `int`, got `bool` - at `\$.gpa`"),
        (line("validate", 12), "multiples of the page size"),
        ({"type": "event"}, "missing required field `t`"),
        ({**FAULT, "op": "teleport"}, r"Invalid enum value 'teleport' - at `\$.op`"),
        ({**FAULT, "vcpu": -2}, r"Expected `int` >= -1 - at `\$.vcpu`"),
        ({"type": "terminate", "set": -2, "code": 0, "text": ""}, r"Expected `int` >= -1 - at `\$.set`"),
        ({"type": "rumour"}, r"Invalid value 'rumour' - at `\$.type`"),
        ({"type": "end", "pages": {"validate": [1]}}, r"Expected `object`, got `array` - at `\$.pages"),
    ],
)
def test_damage_names_file_and_line(tmp_path: Path, bad: dict[str, Any], what: str) -> None:
    with pytest.raises(HarnessError, match=rf"ledger.jsonl:3: .*{what}"):
        ledger_of(tmp_path, line("validate", 0), bad, END)


def test_nesting_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    deep = '{"type":"event","more":' + "[" * 100_000
    path.write_text(json.dumps(HEADER) + "\n" + deep + "\n")
    with pytest.raises(HarnessError, match=r"ledger.jsonl:2: not JSON"):
        read_ledger(path)


CUT = {"type": "cut", "t": 9, "limit": 64 * MIB}


def test_a_ledger_at_its_limit_says_who_filled_it(tmp_path: Path) -> None:
    events = [line("validate" if n % 4 else "rescind", n * 4096, rip=0x10) for n in range(8)]
    ledger = ledger_of(tmp_path, *events, CUT, {"type": "terminate", "set": 0, "code": 0, "text": ""}, END)
    assert ledger.truncated
    assert ledger.events == ()
    assert ledger.cut is not None
    assert (ledger.cut.limit, ledger.cut.line) == (64 * MIB, 10)
    assert ledger.cut.by == (
        "validate by firmware at 0x10: 6 lines, 75 % of all",
        "rescind by firmware at 0x10: 2 lines, 25 % of all",
    )
    assert len(ledger.terminations) == 1
    with pytest.raises(HarnessError, match=r"ledger.jsonl:4: an event after the line that says"):
        ledger_of(tmp_path, line("validate", 0), CUT, line("validate", 0), END)
    with pytest.raises(HarnessError, match=r"says that it reached its limit, and is none of its own"):
        ledger_of(tmp_path, line("validate", 0), {**END, "more": json.loads(json.dumps(CUT))})


def test_a_device_s_fault_and_an_end_that_the_guest_did_not_ask_for(tmp_path: Path) -> None:
    asked = {"type": "terminate", "set": 1, "code": 2, "text": "PVALIDATE failed"}
    ended = {"type": "terminate", "set": -1, "code": -1, "text": "page 0x1000 was validated twice"}
    ledger = ledger_of(tmp_path, FAULT, asked, ended, END)
    assert [(fault.op, fault.vcpu, fault.gpa) for fault in ledger.faults] == [
        ("dma-private-read", -1, 0x1000)
    ]
    assert [(end.asked, end.text) for end in ledger.terminations] == [
        (True, "PVALIDATE failed"),
        (False, "page 0x1000 was validated twice"),
    ]


def test_other_headers(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="ledger version 1, this harness reads 2"):
        ledger_of(tmp_path, header={**HEADER, "version": 1})
    with pytest.raises(HarnessError, match="not the header of a snp-ledger"):
        ledger_of(tmp_path, header={"type": "event"})
    with pytest.raises(HarnessError, match=r"at `\$.ram`"):
        ledger_of(tmp_path, header={**HEADER, "ram": 5})
    with pytest.raises(HarnessError, match="no ledger there"):
        read_ledger(tmp_path / "none")
    (tmp_path / "empty").touch()
    with pytest.raises(HarnessError, match="the ledger is empty"):
        read_ledger(tmp_path / "empty")


def test_nothing_may_follow_the_end(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="a line after the end line"):
        ledger_of(tmp_path, END, line("validate", 0))


def test_replay(tmp_path: Path) -> None:
    ledger = ledger_of(
        tmp_path,
        line("launch-private", 0, 0x2000, "launch", vcpu=-1),
        line("psc-private", 0x10000, 0x10000),
        line("validate", 0x10000, 0x10000),
        line("psc-shared", 0x14000, 0x1000, "kernel"),
        line("psc-private", 0x14000, 0x1000, "kernel"),
        line("validate", 0x14000, 0x1000, "kernel"),
        line("rescind", 0x18000, 0x1000, "kernel"),
        line("implicit-shared", 0x1000, 0x1000, "kernel"),
        END,
    )
    first = ledger.first(phase="kernel")
    assert first is not None
    assert first.op == "psc-shared"
    assert ledger.before(first.line).validated == IntervalSet.of([(0, 0x2000), (0x10000, 0x20000)])
    final = ledger.final()
    assert final.validated == IntervalSet.of([(0, 0x1000), (0x10000, 0x18000), (0x19000, 0x20000)])
    assert final.shared == IntervalSet.span(0x1000, 0x2000)
    assert ledger.validated_by("kernel") == IntervalSet.span(0x14000, 0x15000)
    # The page that went shared and came back is fine.
    assert ledger.validated_twice() == ()


def exit_line(event: str, key: int = 7, **more: Any) -> dict[str, Any]:
    common = {"t": 1, "vcpu": 0, "map-key": key, "rip": 0x1000, "cpl": 0, "phase": "loader"}
    return {"type": "ebs", "event": event, **common, **more}


def test_exits(tmp_path: Path) -> None:
    ledger = ledger_of(
        tmp_path,
        exit_line("call"),
        line("validate", 0, phase="firmware-ebs"),
        exit_line("return", status=(1 << 63) | 2),
        exit_line("call", 8),
        exit_line("return", 8, status=0),
        line("validate", 0x1000, phase="kernel"),
        END,
    )
    assert [(call.map_key, call.granted, call.line, call.returned) for call in ledger.exits] == [
        (7, False, 2, 4),
        (8, True, 5, 6),
    ]
    assert ledger.handover == 6
    assert ledger.before(6).validated == IntervalSet.span(0, 0x1000)


def test_exit_that_never_returns(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path, exit_line("call"), exit_line("call"), exit_line("return", status=0))
    assert [call.status for call in ledger.exits] == [None, 0]
    never = ledger_of(tmp_path, exit_line("call"))
    assert never.handover is None
    assert not never.exits[0].granted


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([exit_line("return", status=0)], "returns from a call that was not made"),
        ([exit_line("call"), exit_line("return", 8, status=0)], "returns from a call that was not made"),
        ([exit_line("call"), *[exit_line("return", status=0)] * 2], "returns from a call that was not made"),
        ([exit_line("call"), exit_line("return")], "'status' must be an integer"),
        ([exit_line("regret")], r"Invalid enum value 'regret' - at `\$.event`"),
    ],
)
def test_damaged_exits(tmp_path: Path, lines: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(HarnessError, match=rf"ledger.jsonl:{len(lines) + 1}: .*{what}"):
        ledger_of(tmp_path, *lines)


def test_private_change_of_a_private_page_keeps_validation(tmp_path: Path) -> None:
    twice = ledger_of(
        tmp_path, line("validate", 0), line("psc-private", 0), line("validate", 0, 0x2000), END
    ).validated_twice()
    assert [again for _event, again in twice] == [IntervalSet.span(0, 0x1000)]


def test_cost_follows_lines_not_pages() -> None:
    """Three terabytes of guest and 20,000 scattered runs."""
    rng = random.Random(1)  # noqa: S311 - not for secrets
    events = [
        Event(
            n,
            0,
            "validate" if n % 3 else "rescind",
            rng.randrange(0, 3 << 40, 2 * MIB),
            64 * MIB,
            32,
            2 * MIB,
            0,
            0,
            "kernel",
            n,
        )
        for n in range(20_000)
    ]
    began = time.monotonic()
    assert replay(events).validated
    assert time.monotonic() - began < 30


def test_intervals_against_plain_sets() -> None:
    """Every operation agrees with the same on sets of numbers, on a thousand random cases."""
    rng = random.Random(2)  # noqa: S311 - not for secrets

    def numbers(some: IntervalSet) -> set[int]:
        return {number for start, end in some for number in range(start, end)}

    def some() -> IntervalSet:
        return IntervalSet.of(
            (start, start + rng.randrange(5)) for start in rng.choices(range(30), k=rng.randrange(6))
        )

    for _ in range(1000):
        a, b = some(), some()
        assert numbers(a | b) == numbers(a) | numbers(b)
        assert numbers(a & b) == numbers(a) & numbers(b)
        assert numbers(a - b) == numbers(a) - numbers(b)
        assert all((n in a) == (n in numbers(a)) for n in range(40))
        assert a.size == len(numbers(a))
        grown = IntervalAccumulator()
        model: set[int] = set()
        for _ in range(12):
            start = rng.randrange(30)
            end = start + rng.randrange(6)
            if rng.random() < 0.6:
                grown.add(start, end)
                model |= set(range(start, end))
            else:
                grown.remove(start, end)
                model -= set(range(start, end))
            assert numbers(grown.frozen()) == model
            assert grown.frozen() == IntervalSet.of((n, n + 1) for n in model)
            assert numbers(grown.overlap(start, end)) == model & set(range(start, end))


def test_interval_ends_before_it_starts() -> None:
    with pytest.raises(ValueError, match="ends before it starts"):
        IntervalSet.span(2, 1)


def test_a_reset_begins_another_life(tmp_path: Path) -> None:
    both = [line("launch-private", 0x1000), line("validate", 0x1000), {"type": "reset", "t": 2}]
    both += [line("launch-private", 0x1000), FAULT, END]
    first, second = ledger_of(tmp_path, *both).lives
    assert [len(life.events) for life in (first, second)] == [2, 1]
    assert [len(life.faults) for life in (first, second)] == [0, 1]
    assert [len(life.validated_twice()) for life in (first, second)] == [1, 0]
    assert first.lives == (first,)
    with pytest.raises(HarnessError, match="Object missing required field `t`"):
        ledger_of(tmp_path, {"type": "reset"}, END)


def test_numbers_that_come_again_are_one_object(tmp_path: Path) -> None:
    """A ledger near its limit has some 1.7 million events: what they share is most of their memory."""
    path = tmp_path / "ledger.jsonl"
    write_ledger(path, 8 << 10, cut=False)
    first, second, *_ = read_ledger(path).events
    assert first.op != second.op
    assert first.rip is second.rip
    assert first.size is second.size
    assert first.entry is second.size
