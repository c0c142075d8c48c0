# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The live line of a run with xdist's workers, on a pseudo-terminal; no boot ends before it was seen."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.support.data import PROJECT
from tests.support.pytest_runs import EMULATED, PLAIN, TWO
from tests.support.screen import screen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDTH = 160
PATIENCE = 300
CONFTEST = """\
import sys, time
from functools import partial
from pathlib import Path
sys.path.insert(0, {project!r})
from harness.run import boots, session
from tests.support.hosts import WITHOUT_DEV_SEV
from tests.support.stand_ins import StandInIngredients, StandIns

def wait():
    while not Path("go").exists():
        time.sleep(0.05)

made = StandIns(in_boot=wait)
session.Ingredients = partial(StandInIngredients, made)
boots.boot = made.boot
session.survey = lambda **_: WITHOUT_DEV_SEV
"""


def heed_interrupts() -> None:
    """Undo what a shell without job control does to whatever it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def on_terminal(pytester: pytest.Pytester) -> Callable[..., pexpect.spawn[str]]:
    """Start pytest with two workers on a pseudo-terminal; its boots wait for a file ``go``."""
    (pytester.mkdir("scenarios") / "s.yaml").write_text(TWO)
    pytester.makeconftest(CONFTEST.format(project=str(PROJECT)))

    def start(*arguments: str) -> pexpect.spawn[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
        words = ["-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *arguments]
        return pexpect.spawn(
            sys.executable,
            words,
            cwd=str(pytester.path),
            dimensions=(24, WIDTH),
            timeout=PATIENCE,
            encoding="utf-8",
            env={**kept, "TERM": "xterm", "COLUMNS": str(WIDTH), "LC_ALL": "C.UTF-8"},
            preexec_fn=heed_interrupts,
        )

    return start


def until_both_boot(child: pexpect.spawn[str]) -> str:
    """Return what was written until the line names both boots."""
    child.expect(r"0 of 2 boots; now (\S+) \(\d+ s\), (\S+) \(\d+ s\)")
    assert isinstance(child.match, re.Match)
    assert {child.match[1], child.match[2]} == {EMULATED, PLAIN}
    return str(child.before) + str(child.after)


def rest(child: pexpect.spawn[str]) -> str:
    """Return what is written until the end, and wait for it."""
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before)


def test_the_line_of_two_workers_leaves_nothing(
    on_terminal: Callable[..., pexpect.spawn[str]], pytester: pytest.Pytester
) -> None:
    child = on_terminal("scenarios", "--records", "here")
    written = until_both_boot(child)
    (pytester.path / "go").touch()
    left = screen(written + rest(child), WIDTH + 1)
    assert child.exitstatus == 0
    assert not [line for line in left if " boots; " in line or "boots of" in line], left
    assert any(line.startswith(".") and line.endswith("[100%]") for line in left), left
    told = [line for line in left if "harness: building" in line]
    assert told == ["harness: building QEMU"] * len(told)
    assert told


def test_an_interrupted_run_leaves_nothing_but_how_it_goes_on(
    on_terminal: Callable[..., pexpect.spawn[str]], pytester: pytest.Pytester
) -> None:
    child = on_terminal("scenarios", "--records", "here")
    written = until_both_boot(child)
    child.sendintr()
    left = screen(written + rest(child), WIDTH + 1)
    assert child.exitstatus == pytest.ExitCode.INTERRUPTED
    assert not [line for line in left if " boots; " in line], left
    here: Path = pytester.path / "here"
    assert f"interrupted; it goes on with --resume {here}" in "\n".join(left)
