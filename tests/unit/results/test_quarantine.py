# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Quarantine: what it covers, when it ends, what nobody may forget."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from harness.documents.document import YamlError
from harness.results.flakes import endings, repeated
from harness.results.quarantine import Quarantine
from tests.support.runs import boot, check

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 30)
ENTRY = """\
quarantine:
  - cell: debian-2026.08+*
    check: reaches-userspace
    reason: hangs in 1 of 50
    link: https://example.org/1
    until: {until}
"""


def load(tmp_path: Path, until: str) -> Quarantine:
    (tmp_path / "quarantine.yaml").write_text(ENTRY.format(until=until))
    return Quarantine.load(tmp_path / "quarantine.yaml")


def test_what_it_covers(tmp_path: Path) -> None:
    found = load(tmp_path, "2026-11-30")
    entry, where = found.find("debian-2026.08+k", "reaches-userspace", TODAY) or (None, "")
    assert entry is not None
    assert entry.reason == "hangs in 1 of 50"
    assert where.endswith("quarantine.yaml:2:5")
    assert found.find("debian-2026.08+k", "no-alarms", TODAY) is None
    assert found.find("debian-2025.02+k", "reaches-userspace", TODAY) is None
    assert Quarantine.load(tmp_path / "none").find("c", "x", TODAY) is None


def test_an_entry_that_has_expired(tmp_path: Path) -> None:
    found = load(tmp_path, "2026-11-29")
    assert found.find("debian-2026.08+k", "reaches-userspace", TODAY) is None
    (told,) = found.problems([("debian-2026.08+k", "reaches-userspace")], TODAY, whole=False)
    assert "expired on 2026-11-29" in told


def test_an_entry_that_meets_nothing(tmp_path: Path) -> None:
    found = load(tmp_path, "2027-01-01")
    assert found.problems([("other", "x")], TODAY, whole=False) == []
    (told,) = found.problems([("other", "x")], TODAY, whole=True)
    assert "no check of this run is that" in told
    assert found.problems([("debian-2026.08+k", "reaches-userspace")], TODAY, whole=True) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY.format(until="soon"), "is not a date"),
        (ENTRY.replace("    link: https://example.org/1\n", "").format(until="2026-12-31"), "link"),
        (ENTRY.replace("reason", "raeson").format(until="2026-12-31"), "reason"),
        (
            "quarantine:\n  - {reason: a, link: b, until: 2026-12-31}\n",
            "an entry for everything hides everything",
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "q.yaml").write_text(text)
    with pytest.raises(YamlError, match=said):
        Quarantine.load(tmp_path / "q.yaml")


def test_flakes_have_equal_inputs() -> None:
    lines = [
        *(check("c", "x", attempt=1), check("c", "x", "failed", attempt=2), check("c", "x", attempt=3)),
        *(check("c", "y", attempt=1), check("c", "y", attempt=2)),
        check("d", "x", attempt=1),
        check("d", "x", "failed", attempt=2, inputs={"firmware": "another"}),
        *(check("e", "x", attempt=1), check("e", "x", "host-error", attempt=2)),
    ]
    found = {(it.cell, it.check): it for it in repeated(lines)}
    assert found.keys() == {("c", "x"), ("c", "y")}
    assert found["c", "x"].is_flaky
    assert str(found["c", "x"].failures).startswith("1 of 3, 95 %: ")
    assert not found["c", "y"].is_flaky


def test_how_often_it_ends_how() -> None:
    boots = [boot("c", attempt=n, ending="hang" if n == 7 else "completed") for n in range(1, 51)]
    found = endings([*boots, boot("d")])
    assert found.keys() == {"c"}
    assert str(found["c"]["hang"]) == "1 of 50, 95 %: 0.05 to 10.6 %"
