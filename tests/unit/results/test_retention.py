# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What goes and what stays: by age, by failures, by use."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from harness.boot.ssh_session import KEYS_DISK, USER_KEY
from harness.errors import HarnessError
from harness.evidence.ledger import read_ledger
from harness.evidence.record import BootRecord
from harness.results.folder import RunWriter, goes_on
from harness.results.retention import (
    needless,
    old_runs,
    pack_record,
    parse_age,
    passed_records,
    record_folders,
    remove,
    unpack_record,
)
from tests.support.pytest_runs import EMULATED, RECORDS
from tests.support.runs import check, end, run_data, write_run

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
    write_run(tmp_path, "odd", end(), began="some day")
    (tmp_path / "old" / "big").write_bytes(b"x" * 10_000)
    found = old_runs(tmp_path, NOW, keep=parse_age("14d"), keep_failures=parse_age("90d"))
    assert [(it.path.name, it.why) for it in found] == [
        ("old", "20 days old, without failures"),
        ("older-bad", "100 days old, with failures"),
    ]
    assert found[0].size >= 10_000
    remove(found)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"old-bad", "killed", "new", "odd"}


def test_a_run_that_goes_on_stays(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "long")
    writer.begin(run_data("long", began=began(100)))
    writer.add(check("c", "x"))
    ages = {"keep": parse_age("0h"), "keep_failures": parse_age("0h")}
    assert goes_on(tmp_path / "long")
    assert old_runs(tmp_path, NOW, **ages) == []
    writer.close()
    assert not goes_on(tmp_path / "long")
    assert [it.path.name for it in old_runs(tmp_path, NOW, **ages)] == ["long"]


def finished(run: Path, name: str) -> None:
    (run / name).mkdir()
    (run / name / "boot.json").write_text("{}")


@pytest.mark.parametrize(("code", "passed"), [(0, ["good", "unasked"]), (1, ["good"])])
def test_boots_that_passed(tmp_path: Path, code: int, passed: list[str]) -> None:
    lines = [check("good", "x"), check("good", "y", "known-bad"), check("good", "z", "not-asked")]
    bad = [check("bad", "x"), check("bad", "y", "failed")] if code else []
    run = write_run(tmp_path, "run", *lines, *bad, end(code))
    for name in ("good", "bad", "unasked") if code else ("good", "unasked"):
        finished(run.path, name)
    (run.path / "unfinished").mkdir()
    assert [path.name for path in passed_records(run)] == passed


def test_a_packed_record_is_read_as_before(tmp_path: Path) -> None:
    record = shutil.copytree(RECORDS / EMULATED, tmp_path / EMULATED)
    (record / "disk0.qcow2").write_bytes(bytes(1 << 20))
    (record / "user-key").write_text("secret")
    before = BootRecord.load(record)
    seen = [before.serial_text, before.counters, before.guest]
    assert before.ledger_path is not None
    events = read_ledger(before.ledger_path).events
    file = pack_record(record)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.stat().st_size < 60 << 10
    again = BootRecord.load(record)
    assert [again.serial_text, again.counters, again.guest] == seen
    assert again.ledger_path is not None
    assert read_ledger(again.ledger_path).events == events
    assert not again.holds("user-key")
    assert not again.holds("disk0.qcow2")
    assert unpack_record(file) == record
    assert [path.name for path in tmp_path.iterdir()] == [EMULATED]
    assert BootRecord.load(record).serial_text == seen[0]


def test_packing_that_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it ends, what is left reads as the whole record."""
    record = shutil.copytree(RECORDS / EMULATED, tmp_path / EMULATED)
    before = BootRecord.load(record).serial_text

    def killed(folder: Path) -> None:
        (folder / "serial.log").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.results.retention.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        pack_record(record)
    assert BootRecord.load(record).serial_text == before
    assert record_folders(tmp_path) == []


def test_parts_that_only_the_boot_needed(tmp_path: Path) -> None:
    for name in ("disk0.qcow2", USER_KEY, KEYS_DISK, "known-hosts", "serial.log", "boot.json"):
        (tmp_path / name).write_text("x")
    remove(needless(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"serial.log", "boot.json"}


@pytest.mark.parametrize("text", ["", "14", "d", "-1d", "1.5d", "2y"])
def test_no_age(text: str) -> None:
    with pytest.raises(HarnessError, match="is no age"):
        parse_age(text)
