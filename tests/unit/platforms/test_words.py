# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The contract of the room: outside of it nobody asks for a platform's name, and few speak of SNP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.platforms.registry import platforms
from tests.support.data import PROJECT
from tests.support.platform_words import SNP_MODULES, compared_names, modules_that_say

if TYPE_CHECKING:
    from pathlib import Path


def test_few_modules_speak_of_snp() -> None:
    assert len(found := modules_that_say("snp", PROJECT / "harness")) <= SNP_MODULES, found


def test_nobody_compares_with_a_platforms_name() -> None:
    assert not compared_names(platforms(), PROJECT / "harness")


@pytest.mark.parametrize(
    "line",
    [
        'platform == "snp"',
        '"plain" != platform',
        'platform in {"snp-emulated", "other"}',
        'platform not in ("other", "plain")',
        'platform in {"snp": 1}',
        'match platform:\n    case "snp":\n        pass',
        'Platform = Literal["snp", "plain"]',
    ],
)
def test_what_is_found(tmp_path: Path, line: str) -> None:
    for room in ("boot", "checks", "platforms"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.py").write_text(line + "\n")
    found = compared_names({"snp", "snp-emulated", "plain"}, tmp_path)
    assert {entry.split(":")[0] for entry in found} == {"boot/a.py", "checks/a.py"}


@pytest.mark.parametrize(
    "line", ['outcome = "plain"', 'platform == "other"', 'Outcome = Literal["lazy", "plain"]', 'f("snp")']
)
def test_what_is_no_comparison(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.py").write_text(line + "\n")
    assert not compared_names({"snp", "plain"}, tmp_path)


def test_words_count_in_any_case_and_anywhere(tmp_path: Path) -> None:
    for room in ("boot", "checks"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.py").write_text('"""Of SEV-SNP guests."""\n')
    (tmp_path / "b.py").write_text("is_snp = 1\n")
    (tmp_path / "c.py").write_text("snap = 1\n")
    assert modules_that_say("snp", tmp_path) == ["b.py", "boot/a.py"]
