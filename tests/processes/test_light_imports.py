# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What users call often loads no library that it does not need: each of these takes a tenth of a second."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.pytest_plugin.opt_in import FIXTURES, OTHERS, PLUGIN

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
