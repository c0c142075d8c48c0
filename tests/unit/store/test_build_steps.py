# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Long build steps: log, progress, errors in short, and nothing left running."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.store import build_steps
from harness.store.build_steps import run_step
from tests.support.processes import alive

if TYPE_CHECKING:
    from pathlib import Path

    from harness.progress import Progress


def ignore(_line: str) -> None:
    pass


def shell(script: str, tmp_path: Path, progress: Progress = ignore, **env: str) -> Path:
    log = tmp_path / "logs/build.log"
    run_step("Thing: compile", ["sh", "-c", script], tmp_path, log, progress, env)
    return log


def test_output_of_both_kinds_is_logged_below_the_command(tmp_path: Path) -> None:
    log = shell('echo out; echo err >&2; echo "$THING $PWD"', tmp_path, THING="set")
    shell("echo second", tmp_path)
    lines = log.read_text().splitlines()
    assert lines[0].startswith("+ sh -c echo out")
    assert lines[1:4] == ["out", "err", f"set {tmp_path}"]
    assert lines[-1] == "second"


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    assert "\N{REPLACEMENT CHARACTER}" in shell(r"printf '\377\n'", tmp_path).read_text()


def test_a_failure_shows_its_errors_and_the_log(tmp_path: Path) -> None:
    script = "echo '[1/2] fine'; echo 'a.c:3:1: error: no such thing'; echo noise; echo 'FAILED: a.o'; exit 3"
    with pytest.raises(HarnessError) as caught:
        shell(script, tmp_path)
    assert caught.value.what.splitlines() == [
        "Thing: compile failed with code 3",
        "  a.c:3:1: error: no such thing",
        "  FAILED: a.o",
    ]
    assert caught.value.hint == f"whole log: {tmp_path}/logs/build.log"


def test_errors_of_an_earlier_step_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="first"):
        shell("echo first error; exit 1", tmp_path)
    with pytest.raises(HarnessError) as caught:
        shell("echo second error; exit 1", tmp_path)
    assert "first" not in str(caught.value)


def test_without_a_line_that_looks_like_an_error_all_are_shown_up_to_a_dozen(tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        shell("for i in $(seq 1 30); do echo line $i; done; exit 1", tmp_path)
    assert [line.strip() for line in caught.value.what.splitlines()[1:]] == [
        f"line {i}" for i in range(1, 13)
    ]


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="Thing: no-such-program: no such program"):
        run_step("Thing", ["no-such-program"], tmp_path, tmp_path / "log", ignore)


def test_counters_become_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_steps, "_EVERY", 0.0)
    said: list[str] = []
    shell("echo '[1/20] cc'; echo 'see [2/20]'; echo '[20/20] link'", tmp_path, said.append)
    assert said == ["Thing: compile", "Thing: compile: 1 of 20", "Thing: compile: 20 of 20"]


def test_an_interrupt_ends_the_command_and_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_steps, "_EVERY", 0.0)

    def interrupt(line: str) -> None:
        if " of " in line:
            raise KeyboardInterrupt

    begin = time.monotonic()
    script = "trap '' TERM INT; sleep 50 & echo $! $$ >pids; echo '[1/2] cc'; wait; sleep 50"
    with pytest.raises(KeyboardInterrupt):
        shell(script, tmp_path, interrupt)
    assert time.monotonic() - begin < 40
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    while any(alive(pid) for pid in pids):
        assert time.monotonic() - begin < 40, pids
        time.sleep(0.01)


@pytest.mark.faults
def test_a_command_does_not_outlive_a_killed_harness(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from harness.store.build_steps import run_step\n"
        "run_step('Thing', ['sh', '-c', 'echo $$ >pid; mv pid there; sleep 50'], Path(), Path('log'), print)"
    )
    harness = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.DEVNULL)
    begin = time.monotonic()
    while not (tmp_path / "there").exists():
        assert time.monotonic() - begin < 40
        time.sleep(0.01)
    pid = int((tmp_path / "there").read_text())
    assert alive(pid)
    harness.kill()
    harness.wait()
    while alive(pid):
        assert time.monotonic() - begin < 20
        time.sleep(0.01)
