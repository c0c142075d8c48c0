# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What goes and what stays: by age, by failures, by use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.results.retention import needless, old_runs, parse_age, remove
from tests.support.runs import check, end, write_run

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def began(days: int) -> str:
    return (NOW - timedelta(days=days)).isoformat()


def test_old_runs(tmp_path: Path) -> None:
    write_run(tmp_path, "old", check("c", "x"), end(), began=began(20))
    write_run(tmp_path, "old-bad", check("c", "x", "failed"), end(1), began=began(20))
    write_run(tmp_path, "older-bad", check("c", "x", "failed"), end(1), began=began(100))
    write_run(tmp_path, "killed", check("c", "x"), began=began(20))
    write_run(tmp_path, "new", check("c", "x"), end(), began=began(1))
    write_run(tmp_path, "used", check("c", "x"), end(), began=began(20))
    write_run(tmp_path, "odd", end(), began="some day")
    (tmp_path / "old" / "big").write_bytes(b"x" * 10_000)
    found = old_runs(
        tmp_path, NOW, keep=parse_age("14d"), keep_failures=parse_age("90d"), in_use=[tmp_path / "used"]
    )
    assert [(it.path.name, it.why) for it in found] == [
        ("old", "20 days old, without failures"),
        ("older-bad", "100 days old, with failures"),
    ]
    assert found[0].size >= 10_000
    remove(found)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"old-bad", "killed", "new", "used", "odd"}


def test_parts_that_only_the_boot_needed(tmp_path: Path) -> None:
    for name in ("disk0.qcow2", "user-key", "host-key", "known-hosts", "serial.log", "boot.json"):
        (tmp_path / name).write_text("x")
    remove(needless(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"serial.log", "boot.json"}


@pytest.mark.parametrize("text", ["", "14", "d", "-1d", "1.5d", "2y"])
def test_no_age(text: str) -> None:
    with pytest.raises(HarnessError, match="is no age"):
        parse_age(text)
