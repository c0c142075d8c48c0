# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What fails in the same cells is shown as one; what is known elsewhere stays apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.results.causes import causes, told
from harness.results.report.pages import write_report
from harness.results.summary import markdown_summary
from tests.support.runs import check, end, finding, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.model import CheckLine

KNOWN = "known in firmware old, by s.yaml:9:5: because (https://example.org/1)"


def failed(cell: str, name: str, kind: str, known_in: str = "", size: int = 6) -> CheckLine:
    found = (finding(kind, f"{kind}: {size} bytes", bytes=size),)
    return check(cell, name, "failed", findings=found, known_in=known_in)


def test_one_old_fault_does_not_hide_a_new_one(tmp_path: Path) -> None:
    cells = [f"cell-{number}" for number in range(7)]
    old = [
        failed(cell, name, "accepted", KNOWN, size)
        for size, cell in enumerate(cells)
        for name in ("x", "y", "z")
    ]
    new = [failed("cell-3", "x2", "lost"), check("cell-3", "w", "cannot-judge", reason="no map", cause="x2")]
    run = write_run(tmp_path, "1", *old, *new, check("cell-9", "x"), end(1))
    first, second = causes(run)
    assert (first.cells, first.checks, first.known_in) == (("cell-3",), ("x2",), "")
    assert (second.cells, second.checks, second.known_in) == (tuple(cells), ("x", "y", "z"), KNOWN)
    assert [*told(first)] == ["x2: lost: 6 bytes", "  in cell-3"]
    assert [*told(second)] == [
        "x: accepted: 0 bytes",
        "  in 7 cells, cell-0 first; with it y, z",
        f"  {KNOWN}",
    ]
    shown = markdown_summary(run)
    assert (
        "- x: accepted: 0 bytes<br>in 7 cells, cell-0 first; with it y, z<br>known in firmware old" in shown
    )


def test_different_cells_are_different_causes(tmp_path: Path) -> None:
    run = write_run(
        tmp_path, "1", failed("a", "x", "k"), failed("b", "x", "k"), failed("b", "y", "l"), end(1)
    )
    assert [(it.checks, it.cells) for it in causes(run)] == [(("x",), ("a", "b")), (("y",), ("b",))]
    assert causes(write_run(tmp_path, "2", check("a", "x"), end())) == []


def test_the_report_begins_with_them(tmp_path: Path) -> None:
    told_here = [failed(cell, "x", "accepted", KNOWN) for cell in ("a", "b")]
    run = write_run(tmp_path, "1", *told_here, failed("b", "y", "<lost>"), end(1))
    page = write_report(run, tmp_path / "out").read_text()
    shown = page[page.index("What may be behind the failures") : page.index("<h2>Cells</h2>")]
    assert shown.index("y: &lt;lost&gt;: 6 bytes") < shown.index("x: accepted: 6 bytes")
    assert KNOWN in shown
    alone = write_report(write_run(tmp_path, "2", failed("a", "x", "k"), end(1)), tmp_path / "out2")
    assert "What may be behind" not in alone.read_text()
