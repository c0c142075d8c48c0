# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two sides of an axis: what differs beyond chance, and the page about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.results.ab.page import AbPage, Pair, ab_page, fisher
from harness.results.ab.show import headline, show_ab
from harness.results.show_comparison import FORMATS
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.model import Line, State

PAIR = Pair("one+debian-6.12+direct+8G+snp-emulated", "two+debian-6.12+direct+8G+snp-emulated")
FAILS = {"findings": (finding("lost", "6 GiB | are <gone>"),)}


def page(
    folder: Path, bad_a: int, bad_b: int, times: int, measures: tuple[list[float], list[float]] = ([], [])
) -> AbPage:
    lines: list[Line] = []
    for cell, bad, samples in ((PAIR.a, bad_a, measures[0]), (PAIR.b, bad_b, measures[1])):
        for number in range(1, times + 1):
            failed = number <= bad
            told = {"phase.kernel.seconds": samples[number - 1], "x.pages": samples[0]} if samples else {}
            ending = "hang" if failed else "completed"
            lines.append(boot(cell, attempt=number, record=f"{cell}{number}", ending=ending, measures=told))
            more = FAILS if failed else {}
            state: State = "failed" if failed else "passed"
            lines.append(check(cell, "ram", state, attempt=number, record=f"{cell}{number}", **more))
            lines.append(check(cell, "alarms", attempt=number, record=f"{cell}{number}"))
    run = write_run(folder, "r", *lines, end(), kind="ab")
    return ab_page(run, "firmware", ("one", "two"), [PAIR], times)


@pytest.mark.parametrize(
    ("bad_a", "bad_b", "times", "verdict"),
    [
        (0, 1, 1, "worse"),
        (0, 3, 3, "worse"),
        (3, 0, 3, "better"),
        (0, 1, 3, "unclear"),
        (0, 3, 20, "unclear"),
        (0, 6, 20, "worse"),
        (19, 1, 20, "better"),
        (2, 2, 5, "both"),
        (5, 5, 5, "both"),
    ],
)
def test_verdicts(tmp_path: Path, bad_a: int, bad_b: int, times: int, verdict: str) -> None:
    found = page(tmp_path, bad_a, bad_b, times)
    (question,) = found.questions
    assert (question.name, question.verdict, question.a.times, question.b.times) == (
        "ram",
        verdict,
        bad_a,
        bad_b,
    )
    assert found.is_worse == (verdict == "worse")
    assert found.asked == 2
    assert {it.name for it in found.endings} == (set() if verdict == "both" else {"hang", "completed"})


def test_nothing_fails(tmp_path: Path) -> None:
    found = page(tmp_path, 0, 0, 2)
    assert not found.questions
    assert headline(found) == "no check fails on either side (2 asked of both)"


@pytest.mark.parametrize(
    ("split", "chance"),
    [((1, 10, 11, 14), 0.00276), ((3, 4, 1, 4), 0.4857), ((0, 5, 5, 5), 0.0079), ((2, 5, 2, 5), 1.0)],
)
def test_fisher(split: tuple[int, int, int, int], chance: float) -> None:
    """Against published examples: the lady and her tea, and the contingency table of a textbook."""
    assert fisher(*split) == pytest.approx(chance, rel=0.02)


def test_measures(tmp_path: Path) -> None:
    slow, fast = [2.0, 2.01, 2.02, 1.99], [1.0, 1.01, 1.02, 0.99]
    found = {it.name: it for it in page(tmp_path, 0, 0, 4, (fast, slow)).measures}
    assert found["phase.kernel.seconds"].differs
    assert (found["phase.kernel.seconds"].a.median, found["phase.kernel.seconds"].b.median) == (1.005, 2.005)
    assert found["x.pages"].differs
    same = {it.name: it for it in page(tmp_path / "same", 0, 0, 4, (fast, fast)).measures}
    assert not any(it.differs for it in same.values())


def test_hosts_faults_do_not_count(tmp_path: Path) -> None:
    lines: list[Line] = [
        boot(PAIR.a),
        check(PAIR.a, "ram"),
        check(PAIR.b, "ram", "host-error", reason="QEMU did not start"),
        end(6),
    ]
    run = write_run(tmp_path, "r", *lines, kind="ab")
    found = ab_page(run, "firmware", ("one", "two"), [PAIR], 1)
    assert not found.questions
    assert found.asked == 0
    assert found.notes == (f"{PAIR.b} has 0 of 1 boots: the others were the host's fault",)


@pytest.mark.parametrize("form", FORMATS)
def test_pages(tmp_path: Path, form: str) -> None:
    text = show_ab(page(tmp_path, 0, 3, 3, ([1.0] * 3, [2.0] * 3)), form)
    if form == "json":
        data = json.loads(text)
        assert (data["worse"], data["checks"][0]["verdict"], data["checks"][0]["b"]["of"]) == (
            True,
            "worse",
            3,
        )
    elif form == "github":
        assert text.startswith("::error file=scenarios/a.yaml,line=7,title=B is worse::*+debian-6.12+direct")
        assert "\n" not in text
    elif form == "markdown":
        assert "| ❌ | `*+debian-6.12+direct+8G+snp-emulated` | ram: 6 GiB \\| are &lt;gone>" in text
        assert "| phase.kernel.seconds | 1 | 2 |" in text
        assert "| hang | 0 of 3, 95 %: 0.00 to 70.8 % | 3 of 3, 95 %: 29.2 to 100 % |" in text
    else:
        assert "A: 0 of 3, 95 %: 0.00 to 70.8 %" in text
        assert "B: 3 of 3, 95 %: 29.2 to 100 %" in text
        assert "hang: A 0 of 3, 95 %: 0.00 to 70.8 %; B 3 of 3, 95 %: 29.2 to 100 %" in text
        assert text.count("B is worse") == 2
        assert "1 of 2 checks fail on neither side; 0 of 2 measures do not differ." in text
