# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``--lf`` and ``--ff`` boot only, or first, the cells that failed; ``-m`` selects by the scenarios' tags."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from harness.store.packing import is_there
from tests.support.pytest_runs import EMULATED, PLAIN, RECORDS, TWO, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_last_failed_boots_the_cell_that_failed(
    plain_failed: Path, pytester: pytest.Pytester, stand_ins: Any
) -> None:
    assert plain_failed.is_dir()
    result, text = run(pytester, "scenarios", "--lf")
    assert stand_ins.booted == [PLAIN]
    assert "run-last-failure: rerun previous 1 failure" in text
    assert result.parseoutcomes()["passed"] == 1


@pytest.mark.parametrize("option", ["--ff", "-v"])
def test_failed_first_boots_it_first(
    plain_failed: Path, pytester: pytest.Pytester, stand_ins: Any, option: str
) -> None:
    assert plain_failed.is_dir()
    run(pytester, "scenarios", option, "--boots", "1")
    assert stand_ins.booted == ([PLAIN, EMULATED] if option == "--ff" else [EMULATED, PLAIN])


def test_an_attempt_that_failed_boots_again(
    pytester: pytest.Pytester,
    plain_failed: Path,
    edit_index: Callable[..., None],
    stand_ins: Any,
) -> None:
    """Alone, and without the option that made it."""
    records = plain_failed
    shutil.rmtree(records / PLAIN)
    shutil.copytree(RECORDS / PLAIN, records / PLAIN)
    shutil.copytree(RECORDS / PLAIN, records / f"{PLAIN}+attempt-2")
    edit_index(records / f"{PLAIN}+attempt-2", kind="hang", detail="no console byte for 40 s")
    run(pytester, "scenarios", "--replay", records)
    run(pytester, "scenarios", "--lf", "--records", "here")
    assert stand_ins.booted == [PLAIN]
    assert is_there(pytester.path / "here" / f"{PLAIN}+attempt-2")


TAGGED = TWO.replace("name: two", "name: NAME\ntags: [TAGS]")


@pytest.fixture
def two_scenarios(pytester: pytest.Pytester) -> None:
    """Write a scenario of the plain cell, tagged smoke and hw, and of the emulated cell, tagged nightly."""
    folder = pytester.mkdir("scenarios")
    lines = TAGGED.splitlines(keepends=True)
    for name, tags, line in (("one", "smoke, hw", -1), ("two", "nightly", -2)):
        text = "".join([*lines[:-2], lines[line]])
        (folder / f"{name}.yaml").write_text(text.replace("NAME", name).replace("TAGS", tags))


@pytest.mark.parametrize(
    ("marks", "booted"),
    [
        ("smoke", [PLAIN]),
        ("smoke and not hw", []),
        ("nightly", [EMULATED]),
        ("not smoke", [EMULATED]),
        ("smoke or nightly", [EMULATED, PLAIN]),
        ("timeout and not nightly", [PLAIN]),
    ],
)
def test_tags(
    two_scenarios: None, pytester: pytest.Pytester, stand_ins: Any, marks: str, booted: list[str]
) -> None:
    del two_scenarios
    result, text = run(pytester, "scenarios", "-m", marks, "--boots", "1", "--strict-markers")
    assert sorted(stand_ins.booted) == booted
    assert result.ret == (0 if booted else pytest.ExitCode.NO_TESTS_COLLECTED)
    assert f"scenarios: {len(booted)} cell" in text or "timeout" in marks


def test_what_no_tag_can_be(scenario: Callable[[str], Path], pytester: pytest.Pytester) -> None:
    scenario(f"{TWO}tags: [smoke, xfail]\n")
    result, text = run(pytester, "scenarios", "--collect-only")
    assert result.ret == 4
    assert "s.yaml:6:15: tags[1]: 'xfail' is a mark that pytest or the harness gives a meaning" in text
