# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Completion in the shell, as argcomplete's shell code asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data import PROJECT


def completed(line: str) -> set[str]:
    """Return what the shell is offered at the end of a line."""
    ifs = "\013"
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": ifs,
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    program = Path(sys.executable).parent / "harness"
    # argcomplete answers on descriptor 8.
    done = subprocess.run(
        ["bash", "-c", '"$0" 8>&1 >/dev/null 2>/dev/null', str(program)],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
        env=environment,
    )
    return {word.strip() for word in done.stdout.split(ifs) if word}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("harness fi", {"firmware"}),
        ("harness firmware show stock-", {"stock-2022.11", "stock-2025.02"}),
        ("harness why qe", {"qemu"}),
        ("harness check show no-led", {"no-ledger"}),
        ("harness loader show uki-26", {"uki-262"}),
        ("harness plan --cel", {"--cell"}),
        ("harness plan --cell debian-2025.02+debian-6.12.4", {"debian-2025.02+debian-6.12.43"}),
    ],
)
def test_what_is_offered(line: str, offered: set[str]) -> None:
    assert completed(line) == offered


def test_values_of_an_axis() -> None:
    assert "debian-6.12.43" in {
        word.rpartition("=")[2] for word in completed("harness plan --cell kernel=debian-6.12.")
    }
