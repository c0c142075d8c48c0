# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The plugin stays out of suites that are no project of the harness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.pytest_plugin import opt_in
from tests.support.data import DATA
from tests.support.pytest_runs import EMULATED, PLAIN, TWO, run

if TYPE_CHECKING:
    import pytest


def test_a_project_is_found_from_below_and_by_its_arguments(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pytester.path / "harness.toml").unlink()
    own = pytester.path / "own"
    (own / "deep").mkdir(parents=True)
    (own / "scenarios").mkdir()
    (own / "harness.toml").write_text('name = "own"\n')
    (own / "scenarios/two.yaml").write_text(TWO)
    (own / "elsewhere.yaml").write_text(TWO.replace("two", "other"))
    for folder, argument in (
        (own, "."),
        (own / "deep", "../scenarios"),
        (own / "deep", "../elsewhere.yaml"),
        (pytester.path, "own/scenarios"),
        (pytester.path, f"own/scenarios/two.yaml::{PLAIN}"),
    ):
        monkeypatch.chdir(folder)
        result, text = run(pytester, argument, "--collect-only", "--replay", DATA / "records")
        assert result.ret == 0
        assert "scenarios: 1 cell" in text if "::" in argument else "scenarios: 2 cells" in text


def test_records_lie_where_the_project_says(
    pytester: pytest.Pytester, stand_ins: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in pytest's root directory, which is the parent here, nor where the run was started."""
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    own = pytester.path / "own"
    (own / "scenarios").mkdir(parents=True)
    (own / "harness.toml").write_text('name = "own"\nout = "results"\n')
    (own / "scenarios/two.yaml").write_text(TWO)
    monkeypatch.chdir(own)
    _, text = run(pytester)
    assert sorted(stand_ins.booted) == [EMULATED, PLAIN]
    assert f"boot records: {own}/results/records/" in text
    assert not (pytester.path / "out").exists()
    assert not (own / "out").exists()


def test_the_entry_point_is_the_small_module() -> None:
    from importlib import metadata  # noqa: PLC0415

    (entry,) = (it for it in metadata.entry_points(group="pytest11") if it.name == "harness")
    assert entry.module == opt_in.__name__
