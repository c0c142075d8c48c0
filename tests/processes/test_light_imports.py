# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What users call often loads no library that it does not need: each of these takes a tenth of a second."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin.opt_in import FIXTURES, OTHERS, PLUGIN

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {
    "argcomplete",
    "cryptography",
    "jinja2",
    "paramiko",
    "pexpect",
    "pydantic",
    "rich",
    "sevsnpmeasure",
    "yaml",
}
FRONT_DOOR = ",".join((PLUGIN, *(f"harness.pytest_plugin.{name}" for name in (*FIXTURES, *OTHERS))))


@pytest.mark.parametrize(
    ("modules", "loaded"),
    [
        ("harness", set()),
        ("harness.cli.parser", set()),
        ("harness.pytest_plugin.opt_in", set()),
        ("harness.cli.firmware", {"pydantic", "yaml"}),
        ("harness.cli.build", {"pydantic", "yaml"}),
        ("harness.cli.plan", {"pexpect", "pydantic", "yaml"}),
        ("harness.cli.results.summary", {"pydantic", "yaml"}),
        (FRONT_DOOR, {"pexpect", "pydantic", "yaml"}),
    ],
)
def test_what_is_loaded(modules: str, loaded: set[str]) -> None:
    script = f"import {modules}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert HEAVY.intersection(done.stdout.split()) == loaded


def test_firmware_needs_no_other_maker() -> None:
    script = "import harness.cli.build, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "harness.artifacts.firmware.resolve" in loaded
    makers = ("debian_qemu", "guest.debian_disk", "kernel.resolve", "loader.resolve", "probe", "qemu")
    assert not {f"harness.artifacts.{name}" for name in makers}.intersection(loaded)


def test_a_command_looks_for_no_plugin_of_pydantic(tmp_path: Path) -> None:
    """An environment's plugins are found by reading the metadata of all that is installed."""
    (tmp_path / "nosy.py").write_text("print('nosy is loaded')\n")
    metadata = tmp_path / "nosy-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: nosy\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pydantic]\nnosy = nosy\n")
    command = [sys.executable, "-m", "harness.cli.entry", "firmware", "list"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "stock-2022.11" in done.stdout
    assert "nosy" not in done.stdout + done.stderr
