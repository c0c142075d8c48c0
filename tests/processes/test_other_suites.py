# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The plugin stays out of suites that are no project of the harness, in a pytest as users start it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = """\
import sys

def pytest_addoption(parser):
    parser.addoption("--platform", default="linux")
    parser.addoption("--kernel")

def pytest_configure(config):
    config.addinivalue_line("markers", "firmware: of a keyboard")
"""
TEST = """\
import sys
import pytest

@pytest.fixture
def firmware():
    return "of a keyboard"

@pytest.mark.firmware
def test_it(firmware, pytestconfig):
    assert (firmware, pytestconfig.getoption("--platform")) == ("of a keyboard", "windows")
    rooms = sorted(name for name in sys.modules if name.startswith("harness"))
    assert rooms == ["harness", "harness.errors", "harness.paths", "harness.pytest_plugin",
                     "harness.pytest_plugin.opt_in"]
    assert "pydantic" not in sys.modules and "yaml" not in sys.modules
"""


def pytest_of(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own, with the plugins of this environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Give another suite: it has an option, a fixture and YAML files of the same names."""
    (tmp_path / "conftest.py").write_text(FOREIGN)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/x.yaml").write_text("name: no scenario of ours\n")
    return tmp_path


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_another_suite_is_not_disturbed(foreign: Path, workers: tuple[str, ...]) -> None:
    done = pytest_of(foreign, "--platform", "windows", *workers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "boot records" not in done.stdout
    assert "scenarios:" not in done.stdout
    assert sorted(path.name for path in foreign.iterdir() if path.name != "__pycache__") == [
        "conftest.py",
        "pytest.ini",
        "scenarios",
        "test_it.py",
    ]


def test_another_suite_has_no_option_of_ours(foreign: Path) -> None:
    done = pytest_of(foreign, "--help")
    assert "confidential guests" not in done.stdout
    assert "--require-platform" not in done.stdout
    assert pytest_of(foreign, "scenarios/x.yaml").returncode == pytest.ExitCode.USAGE_ERROR


def test_a_mistake_in_the_file_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text('nmae = "own"\n')
    done = pytest_of(tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.count("harness.toml:1:1: unknown key 'nmae'; did you mean 'name'?") == 1
    assert "Traceback" not in done.stdout + done.stderr
