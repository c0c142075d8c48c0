# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What changed between two runs: each kind of change, and what must not count as one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.results.compare import KINDS, compare
from harness.results.show_comparison import FORMATS, headline, show
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.model import Line


def kinds(tmp_path: Path, base: list[Line], head: list[Line]) -> list[str]:
    was, now = write_run(tmp_path, "1", *base, end()), write_run(tmp_path, "2", *head, end())
    return [change.kind for change in compare(was, now).changes]


GONE = finding("memory-gone", "6 GiB are gone", bytes=6442450944)


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [
        (check("c", "x"), check("c", "x", "failed", findings=(GONE,)), ["new-failure"]),
        (check("c", "x"), check("c", "x", "cannot-judge"), ["new-failure"]),
        (check("c", "x", "known-bad"), check("c", "x", "fixed"), ["new-failure"]),
        (check("c", "x", "failed"), check("c", "x"), ["fixed"]),
        (check("c", "x", "failed"), check("c", "x", "host-error"), ["finding-changed"]),
        (check("c", "x"), check("c", "x"), []),
        (check("c", "x"), check("c", "x", "not-asked"), ["state-changed"]),
        (check("c", "x", "known-bad"), check("c", "x"), ["state-changed"]),
    ],
)
def test_a_check(tmp_path: Path, was: Line, now: Line, kind: list[str]) -> None:
    assert kinds(tmp_path, [was], [now]) == kind


def test_findings_are_compared_by_kind_and_values(tmp_path: Path) -> None:
    was = check("c", "x", "failed", findings=(GONE,))
    worded = check("c", "x", "failed", findings=(finding("memory-gone", "lost: 6 GiB", bytes=6442450944),))
    other = check("c", "x", "failed", findings=(finding("memory-gone", "6 GiB are gone", bytes=1),))
    assert kinds(tmp_path, [was], [worded]) == ["still-failing"]
    assert kinds(tmp_path, [was], [other]) == ["finding-changed"]


def test_cells_come_and_go(tmp_path: Path) -> None:
    assert kinds(tmp_path, [boot("a"), check("a", "x")], [boot("b"), check("b", "x", "failed")]) == [
        "cell-missing",
        "cell-new",
    ]


def test_a_scenarios_line_may_move(tmp_path: Path) -> None:
    moved = check("c", "x", scenario="scenarios/a.yaml:99")
    assert kinds(tmp_path, [check("c", "x")], [moved]) == []


def test_an_input_is_told_once_for_all_cells(tmp_path: Path) -> None:
    new = {"firmware": "9999", "kernel": "2222"}
    was, now = [boot("a"), boot("b")], [boot("a", inputs=new), boot("b", inputs=new)]
    base, head = write_run(tmp_path, "1", *was, end()), write_run(tmp_path, "2", *now, end())
    (change,) = compare(base, head).changes
    assert (change.kind, change.check, change.cell) == ("inputs-changed", "firmware", "a and 1 more cells")


def boots(name: str, *values: float) -> list[Line]:
    return [boot("c", attempt=n, measures={name: value}) for n, value in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("name", "was", "now", "drifts"),
    [
        ("accepted.firmware-ebs.pages", [512.0], [1024.0], True),
        ("accepted.firmware-ebs.pages", [512.0], [512.0], False),
        ("phase.kernel.seconds", [1.0], [9.0], False),  # a single time says nothing
        ("phase.kernel.seconds", [1.0, 1.1, 0.9], [9.0, 9.1, 9.2], True),
        ("phase.kernel.seconds", [1.0, 2.0, 3.0], [2.0, 3.0, 4.0], False),
        ("exits", [100.0, 100.0, 100.0], [102.0, 102.0, 102.0], False),
    ],
)
def test_drift(tmp_path: Path, name: str, was: list[float], now: list[float], *, drifts: bool) -> None:
    assert kinds(tmp_path, boots(name, *was), boots(name, *now)) == (["drift"] if drifts else [])


def test_earlier_runs_are_samples_too(tmp_path: Path) -> None:
    name = "phase.kernel.seconds"
    earlier = [write_run(tmp_path, f"0{n}", *boots(name, 1.0 + n / 100), end()) for n in range(3)]
    base = write_run(tmp_path, "1", *boots(name, 1.0), end())
    head = write_run(tmp_path, "2", *boots(name, 5.0, 5.1, 5.2), end())
    assert not compare(base, head).changes
    assert [change.kind for change in compare(base, head, earlier).changes] == ["drift"]


def test_what_is_not_comparable_is_said(tmp_path: Path) -> None:
    base = write_run(tmp_path, "1", end(), scenarios_commit="aaa")
    head = write_run(tmp_path, "2", scenarios_commit="bbb")
    notes = compare(base, head).notes
    assert notes == (
        "the scenarios' commit differs: aaa, then bbb: cells that changed there are not comparable",
        "the head is not over, or was killed: cells may be missing",
    )


def every_kind() -> tuple[list[Line], list[Line]]:
    hostile = finding("k", "a | <b>\n::error::x", "line | 7")
    was: list[Line] = [
        *(check("c", "new"), check("c", "changed", "failed", findings=(GONE,)), check("c", "same", "failed")),
        *(check("c", "mended", "failed"), check("c", "state"), boot("gone"), check("gone", "x")),
        boot("c", measures={"a.pages": 1.0}),
    ]
    now: list[Line] = [
        *(check("c", "new", "failed", findings=(hostile,)), check("c", "changed", "failed")),
        *(check("c", "same", "failed"), check("c", "mended"), check("c", "state", "not-asked")),
        *(boot("fresh", inputs={}), boot("c", measures={"a.pages": 2.0})),
    ]
    return was, now


def test_every_form_shows_every_change(tmp_path: Path) -> None:
    was, now = every_kind()
    base, head = write_run(tmp_path, "1", *was, end()), write_run(tmp_path, "2", *now, end())
    found = compare(base, head)
    assert {change.kind for change in found.changes} == set(KINDS) - {"inputs-changed"}
    assert found.is_worse
    assert headline(found).startswith("new failures: 1, other findings than before: 1, cells that are m")
    shown = {form: show(found, form) for form in FORMATS}
    assert json.loads(shown["json"])["worse"] is True
    assert "| `c` | new | passed | a \\| &lt;b> ::error::x |" in shown["markdown"]
    annotations = shown["github"].splitlines()
    assert annotations[0] == (
        "::error file=scenarios/a.yaml,line=7,title=New failures::c: new: a | <b>%0A::error::x"
    )
    assert all(line.startswith(("::error ", "::notice ")) for line in annotations)
    for change in found.changes:
        assert change.cell in shown["text"]


def test_two_equal_runs(tmp_path: Path) -> None:
    lines: list[Line] = [boot("c"), check("c", "x"), check("c", "y", "known-bad")]
    base, head = write_run(tmp_path, "1", *lines, end()), write_run(tmp_path, "2", *lines, end())
    found = compare(base, head)
    assert (headline(found), found.is_worse) == ("no change in 2 answers", False)


def test_sides_with_several_attempts_say_their_rates(tmp_path: Path) -> None:
    was = [check("c", "x", "failed", attempt=1), check("c", "x", attempt=2)]
    now = [check("c", "x", attempt=number) for number in (1, 2, 3)]
    base, head = write_run(tmp_path, "1", *was, end(1)), write_run(tmp_path, "2", *now, end())
    (change,) = compare(base, head).of("fixed")
    assert change.was.endswith("(fails in 1 of 2, 95 %: 1.26 to 98.7 %)")
    assert change.now == "passed (fails in 0 of 3, 95 %: 0.00 to 70.8 %)"
