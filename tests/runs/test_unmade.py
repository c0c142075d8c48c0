# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What is fetched and built to know which items a run has, and what ``--collect-only`` says of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ExitCode
from tests.support.own_tests import ON_PLAIN
from tests.support.own_tests import run as run_code
from tests.support.pytest_runs import EMULATED, PLAIN, TWO, run

if TYPE_CHECKING:
    from collections.abc import Callable

WOULD = re.compile(r"^a run would fetch or build (.*) \(.+: never made before\)$", re.MULTILINE)


@pytest.fixture
def cold(pytester: pytest.Pytester) -> Path:
    """Write ``scenarios/s.yaml`` of two cells whose ingredients no cache has; give the cache."""
    (pytester.mkdir("scenarios") / "s.yaml").write_text(TWO)
    return Path(os.environ["HARNESS_CACHE"])


def items(result: pytest.RunResult) -> list[str]:
    """Return the collected items of ``-q``, without the file's name."""
    return [line.partition("::")[2] for line in result.outlines if line.startswith("scenarios/s.yaml::")]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("plain and no-sev", {"debian-2025.02", "debian-6.1"}),
        ("5.10 and no-userspace", {"debian-2025.02", "debian-5.10"}),
        ("plain and not no-sev", {"debian-2025.02", "debian-6.1"}),
        ("no-sev or no-userspace", {"debian-2025.02", "debian-6.1", "debian-5.10"}),
    ],
)
def test_a_checks_name_fetches_only_for_cells_that_the_other_words_leave(
    pytester: pytest.Pytester,
    scenario: Callable[[str], Path],
    stand_ins: Any,
    words: str,
    wanted: set[str],
) -> None:
    scenario(TWO)
    result, _ = run(pytester, "scenarios", "-k", words)
    assert result.ret == 0
    assert set(stand_ins.built) - {"qemu", "initrd"} == wanted


def test_what_needs_no_check_fetches_nothing_to_choose(
    pytester: pytest.Pytester, scenario: Callable[[str], Path], stand_ins: Any
) -> None:
    scenario(TWO)
    result, _ = run(pytester, "scenarios", "-k", "no-such-word and no-sev")
    assert result.ret == ExitCode.NOTHING
    assert stand_ins.built == []


@pytest.mark.parametrize(
    ("arguments", "cells", "kernels"),
    [
        ((), [EMULATED, PLAIN], ["debian-5.10", "debian-6.1"]),
        (("-k", "no-alarms"), [EMULATED, PLAIN], ["debian-5.10", "debian-6.1"]),
        (("-k", "no-alarms and 5.10"), [EMULATED], ["debian-5.10"]),
        (("-k", "plain and not no-alarms"), [PLAIN], ["debian-6.1"]),
        (("--cell", PLAIN), [PLAIN], ["debian-6.1"]),
    ],
)
def test_collecting_makes_nothing_and_says_what_a_run_would(
    pytester: pytest.Pytester, cold: Path, arguments: tuple[str, ...], cells: list[str], kernels: list[str]
) -> None:
    result, text = run(pytester, "scenarios", "--collect-only", "-q", *arguments)
    assert result.ret == 0, text
    assert items(result) == [f"{cell}::unmade" for cell in cells]
    shown = ["firmware debian-2025.02", *(f"kernel {name}" for name in kernels), "guest initramfs", "qemu"]
    assert sorted(WOULD.findall(text)) == sorted(shown)
    assert not cold.exists()


def test_a_check_that_is_named_is_collected_before_it_is_known(pytester: pytest.Pytester, cold: Path) -> None:
    result, text = run(pytester, f"scenarios/s.yaml::{PLAIN}::no-alarms", "--collect-only", "-q")
    assert result.ret == 0, text
    assert items(result) == [f"{PLAIN}::no-alarms"]
    assert run(pytester, f"scenarios/s.yaml::{PLAIN}::no-alarm", "--collect-only", "-q")[0].ret != 0
    assert not cold.exists()


def test_rules_that_may_be_idle_are_no_mistake_before_it_is_known(
    pytester: pytest.Pytester, cold: Path
) -> None:
    path = pytester.path / "scenarios/s.yaml"
    path.write_text(
        f"{TWO}expect:\n  - {{when: {{platform: plain}}, outcome: plain, reason: b, link: 'https://example.org/1'}}\n"
    )
    result, text = run(pytester, "scenarios", "--collect-only", "-q")
    assert result.ret == 0, text
    assert not cold.exists()


def test_a_test_of_ones_own_says_what_its_boot_needs(pytester: pytest.Pytester, cold: Path) -> None:
    code = f"{ON_PLAIN}def test_it(record):\n    pass\n"
    result, text = run_code(pytester, code, "--collect-only", "-q", "test_own.py")
    assert result.ret == 0, text
    assert "test_own.py::test_it[" in text
    assert {"kernel debian-6.1", "qemu"} < set(WOULD.findall(text))
    assert not cold.exists()
