# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The script ``run``: which words are its own, and what it hands to pytest."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

_SAY = '#!/bin/sh\nprintf "%s" "${0##*/}"; printf " [%s]" "$@"; echo\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout with an environment whose programs only say what they were given."""
    folder = tmp_path / "check out"
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("pytest", "ruff", "mypy"):
        (programs / name).write_text(_SAY)
        (programs / name).chmod(0o755)
    for name in ("run", "requirements.lock", "pyproject.toml"):
        shutil.copy2(PROJECT / name, folder)
    script = (folder / "run").read_text()
    start, end = script.index("install_packages() {"), script.index('cd "$(dirname')
    stub = "install_packages() { :; }\nmake_environment() { :; }\n"
    (folder / "run").write_text(script[:start] + stub + script[end:])
    return folder


def run(checkout: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run([checkout / "run", *words], capture_output=True, text=True, check=False, cwd=os.sep)
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize(
    ("words", "handed"),
    [
        (["scenarios"], ""),
        (["scenarios", "scenarios/a.yaml"], " [scenarios/a.yaml]"),
        (
            ["scenarios", "--boots", "1", "a.yaml::c+d", "-k", "x and y"],
            " [--boots] [1] [a.yaml::c+d] [-k] [x and y]",
        ),
        (["scenarios", "--no-install", "-k", "tests"], " [-k] [tests]"),
        (["--no-install", "scenarios", "--help"], " [--help]"),
    ],
)
def test_scenarios(checkout: Path, words: list[str], handed: str) -> None:
    assert run(checkout, *words) == (0, f"pytest [-o] [testpaths=scenarios]{handed}")


def test_tests(checkout: Path) -> None:
    lint = "ruff [check]\nruff [format] [--check]\nmypy []\n"
    assert run(checkout, "tests", "tests/unit/top", "-x") == (0, f"{lint}pytest [tests/unit/top] [-x]")
    assert run(checkout, "tests")[1].splitlines()[3:] == [
        "pytest [-n] [auto] [tests/unit] [tests/runs]",
        "pytest [--ignore=tests/unit] [--ignore=tests/runs]",
    ]


def test_setup_runs_nothing(checkout: Path) -> None:
    assert run(checkout, "setup") == (0, "")
    assert run(checkout, "--no-install", "setup", "-k", "x") == (0, "")


def test_its_own_words(checkout: Path) -> None:
    assert run(checkout, "--no-install") == (0, "run: no system package is missing")
    assert run(checkout, "--help")[1].startswith("usage: ./run [--no-install] scenarios|tests|setup [")
    for wrong in ([], ["scenario"], ["-k", "scenarios"]):
        assert run(checkout, *wrong) == (4, "")


def test_testpaths_give_way_to_what_is_named(pytester: pytest.Pytester) -> None:
    for name in ("one", "two"):
        folder = pytester.mkdir(name)
        (folder / f"test_{name}.py").write_text("def test_it(): pass\n")
    pytester.makepyprojecttoml("[tool.pytest]\ntestpaths = ['one']\n")
    for words, name in (([], "two"), (["one/test_one.py"], "one")):
        result = pytester.runpytest_inprocess("-o", "testpaths=two", "--collect-only", "-q", *words)
        assert [line for line in result.outlines if "::" in line] == [f"{name}/test_{name}.py::test_it"]
