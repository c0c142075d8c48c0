# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A plan as text, Markdown and JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from harness.matrix.show import Shown, as_json, as_markdown, as_text
from tests.support.words import SAID

if TYPE_CHECKING:
    from tests.support.words import Make


def test_plan_in_all_formats(make: Make) -> None:
    made = make(f"{SAID}exclude:\n  - {{kernel: k-6.1, memory: 2G}}\n")
    shown = Shown(made, frozenset(made.cells[1:]))
    text = as_text(shown).splitlines()
    assert text == [
        "s: 3 cells, 2 without --full (marked *), 1 left out",
        "  all cells: firmware f-1, loader direct, platform snp",
        "   kernel  memory  rules",
        "   k-6.1   8G      1 2",
        "*  k-6.12  2G",
        "*  k-6.12  8G      3 1",
        "  1: ram-accounted, no-alarms known bad since 6.5: because (https://example.org/1) by s.yaml:14:5",
        "  2: no-sev known bad since 2026-01-01: because (https://example.org/1) by s.yaml:15:5",
        "  3: expected to be eager by s.yaml:12:5: because (https://example.org/1)",
        "  1 cell left out, excluded by s.yaml:17:5 {kernel: k-6.1, memory: 2G}:",
        "    f-1+k-6.1+direct+2G+snp",
    ]
    markdown = as_markdown(shown).splitlines()
    assert markdown[0] == "## s"
    assert "|   | k-6.1 | 8G | 1 2 |" in markdown
    assert "| * | k-6.12 | 2G |  |" in markdown
    assert "- `f-1+k-6.1+direct+2G+snp`" in markdown
    values: Any = json.loads(json.dumps(as_json(shown)))
    assert [cell["selected"] for cell in values["cells"]] == [False, True, True]
    assert values["cells"][0]["memory"] == "8G"
    assert values["cells"][0]["known_bad"][0]["where"] == "s.yaml:14:5"
    assert values["cells"][2]["expect"]["outcome"] == "eager"
    assert values["removed"][0]["reason"] == "excluded by s.yaml:17:5 {kernel: k-6.1, memory: 2G}"


def test_a_plan_of_one_cell_or_none(make: Make) -> None:
    made = make(SAID)
    one = made.only(lambda cell: cell.id == "f-1+k-6.12+direct+8G+snp")
    assert as_text(Shown(one, frozenset())).splitlines()[1:4] == [
        "   firmware  kernel  loader  memory  platform  rules",
        "   f-1       k-6.12  direct  8G      snp       1 2",
        "  1: expected to be eager by s.yaml:12:5: because (https://example.org/1)",
    ]
    lacking = dataclasses.replace(one.planned[0], lacks="needs a lab, by s.yaml:10:5")
    lines = as_text(Shown(dataclasses.replace(one, planned=(lacking,)), frozenset())).splitlines()
    assert lines[0] == "s: 1 cell, 1 skipped here, 0 left out"
    assert lines[-1] == "  3: skipped here, needs a lab, by s.yaml:10:5"
    none = Shown(made.only(lambda _: False), frozenset())
    assert as_text(none) == "s: 0 cells, 0 left out"
    assert as_markdown(none).strip() == "## s\n\ns: 0 cells, 0 left out"
