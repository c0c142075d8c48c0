# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Who accepted a page, and who accepted how much: of a stored record, whatever symbols are here."""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import entry
from harness.errors import ExitCode
from tests.support.data import DATA

if TYPE_CHECKING:
    from pathlib import Path

SNP = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"
PLAIN = "debian-2025.02+debian-6.1+direct+2G+plain"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert entry.main(["ledger", *words, "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    record = str(DATA / "records" / SNP)
    found = said(capsys, record, "0x1008")
    assert (found["page"], found["state"]) == (0x1000, "is validated")
    ops = [each["op"] for each in found["history"]]
    assert ops[:2] == ["psc-private", "validate"]
    first = found["history"][0]
    assert first["start"] <= 0x1000 < first["end"]
    assert first["rip"]
    assert entry.main(["ledger", record, "0x1008"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "page 0x1000: it is validated"
    assert (
        f"line {first['line']}: psc-private: {first['start']:#x}-{first['end'] - 1:#x} by firmware"
        in lines[1]
    )


def test_a_page_that_nothing_happened_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["ledger", str(DATA / "records" / SNP), "0xfee00000"]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        "page 0xfee00000: it is no memory of the guest",
        "nothing ever happened to it",
    ]


def test_all_places(capsys: pytest.CaptureFixture[str]) -> None:
    record = str(DATA / "records" / SNP)
    found = said(capsys, record)
    assert [each["phase"] for each in found["validated"]][:2] == ["launch", "firmware"]
    assert sum(each["bytes"] for each in found["validated"]) > 1 << 30
    assert all(each["lines"][0] <= each["lines"][1] for each in found["validated"])
    assert entry.main(["ledger", record]) == ExitCode.OK
    assert "neither validated nor shared in the end: " in capsys.readouterr().out


@pytest.mark.parametrize("address", ["nonsense", "-1", "0x10000000000000000"])
def test_no_address(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["ledger", str(DATA / "records" / SNP), "--", address]) == ExitCode.MISTAKE
    assert f"{address}: no guest physical address" in capsys.readouterr().err


def test_no_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["ledger", str(DATA / "records" / PLAIN)]) == ExitCode.MISTAKE
    assert "its boot left no ledger" in capsys.readouterr().err
    damaged = shutil.copytree(DATA / "records" / SNP, tmp_path / SNP)
    (damaged / "ledger.jsonl").write_text("nonsense\n")
    assert entry.main(["ledger", str(damaged)]) == ExitCode.MISTAKE
    assert "ledger.jsonl" in capsys.readouterr().err


def test_a_ledger_that_was_cut_says_so_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does not hold may well have happened."""
    record = tmp_path / SNP
    shutil.copytree(DATA / "records" / SNP, record)
    ledger = record / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[: len(lines) // 2]))
    for words in ([], ["0x1008"]):
        assert entry.main(["ledger", str(record), *words]) == ExitCode.OK
        assert capsys.readouterr().out.startswith("not all that the boot left: ledger.jsonl: ")
    assert any("no end line" in each for each in said(capsys, str(record))["damaged"])


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOENT, ExitCode.MISTAKE), (errno.ENOSPC, ExitCode.HOST)]
)
def test_a_file_that_cannot_be_written_is_one_message(
    number: int, code: ExitCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number), "page.html")

    monkeypatch.setattr("harness.cli.record.ledger.facts_of", fail)
    assert entry.main(["ledger", str(DATA / "records" / SNP)]) == code
    assert capsys.readouterr().err == f"harness: page.html: {os.strerror(number)}\n"
