# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What harness coverage refuses, and harness debug where it takes a record, each with one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.cli import entry
from harness.errors import ExitCode
from tests.support.data import DATA

if TYPE_CHECKING:
    from pathlib import Path

RECORD = str(DATA / "records" / "debian-2025.02+debian-6.1+direct+2G+plain")


def test_a_record_without_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["coverage", RECORD]) == ExitCode.MISTAKE
    assert "name --symbols DIR" in capsys.readouterr().err


def test_no_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["coverage", RECORD, "--source", "("]) == ExitCode.MISTAKE
    assert "--source (: no regular expression" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["coverage"], ["debug", "--ex", "quit"]])
def test_an_unfinished_record(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main([*command, str(tmp_path)]) == ExitCode.MISTAKE
    assert f"{tmp_path}: no boot.json, so an unfinished boot" in capsys.readouterr().err
