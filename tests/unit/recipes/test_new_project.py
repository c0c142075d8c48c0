# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``harness init``: a folder that is a project at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.artifacts.ingredients import Ingredients
from harness.cli import entry
from harness.errors import ExitCode, HarnessError
from harness.paths import SHIPPED
from harness.recipes.new_project import new_project
from harness.recipes.project import find_project
from tests.support.data import PROJECT

MADE = [
    ".gitignore",
    "README.md",
    "debian.lock.yaml",
    "guest-images/initramfs/actions/hello",
    "guest-images/kernels.yaml",
    "harness.toml",
    "ovmf-builds/own.yaml",
    "pytest.toml",
    "scenarios/own.yaml",
    "tests/test_own.py",
]


def test_a_project_with_an_example_of_each(tmp_path: Path) -> None:
    folder = tmp_path / "My lab_2!"
    project = new_project(folder)
    assert project == find_project(folder)
    assert (project.name, project.roots) == ("my-lab_2", (folder, SHIPPED))
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert sorted(files) == MADE
    for name, path in files.items():
        text = path.read_text()
        assert str(PROJECT) not in text
        assert str(Path.home()) not in text
        assert "SPDX" not in text or name == "debian.lock.yaml"
    ingredients = Ingredients(project)
    known = ingredients.catalog.known()
    assert {"own-2025.02"} < known.names("firmware")
    assert {"own-6.12"} < known.names("kernel")
    assert {"hello"} < known.action
    assert {query.key for query in ingredients.queries()} == ingredients.lock.load(
        files[MADE[2]]
    ).versions.keys()
    assert new_project(tmp_path / "!").name == "project"


def test_what_it_prints_is_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry.main(["init", "my lab"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(MADE)] == MADE
    assert "  cd 'my lab'" in lines
    monkeypatch.chdir("my lab")
    assert entry.main(["plan"]) == ExitCode.OK
    assert "own: 2 cells, a run takes all of them, 0 left out" in capsys.readouterr().out


def test_a_folder_that_holds_something(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("")
    assert entry.main(["init", str(tmp_path)]) == ExitCode.MISTAKE
    assert (
        capsys.readouterr().err == f"harness: {tmp_path} is not empty\n  name a new folder, or an empty one\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("folder", ["/proc/lab", "/dev/null", "/dev/null/lab"])
def test_a_folder_that_cannot_be_made(folder: str) -> None:
    with pytest.raises(HarnessError, match=rf"^{folder}: no project can be made there: "):
        new_project(Path(folder))


@pytest.mark.usefixtures("stand_ins")
def test_the_schema_of_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["schema", "project"]) == ExitCode.OK
    out: Any = capsys.readouterr().out
    for key in ("name", "scenarios", "recipes", "out", "shipped"):
        assert f'"{key}": {{' in out
