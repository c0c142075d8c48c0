# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Run one long build step: its output in a log, its progress on the terminal, its errors in short."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.errors import HostError, SubjectError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.progress import Progress

Steps = Callable[[str], tuple[int, int] | None]
"""Reads how many steps are done, and of how many, from a line of output; None for any other line."""
Trouble = Callable[[Sequence[str]], Sequence[str]]
"""Picks the lines of a failed command's output that say what is wrong; none: all are shown, up to a dozen."""
DYING = ("setpriv", "--pdeathsig", "KILL", "--")
"""Before a command: it ends with the thread that started it, however that ends (PR_SET_PDEATHSIG)."""
_STEP = re.compile(r"\[(\d+)/(\d+)\]")
_TROUBLE = re.compile(r"\berror\b|\bERROR\b|FAILED|No such file|not found|fatal:")
_SHOWN = 12
_running: set[subprocess.Popen[str]] = set()
_EVERY = 10.0  # seconds between progress lines when there is no terminal to overwrite


def ninja_step(line: str) -> tuple[int, int] | None:
    """Read ninja's ``[12/345]``."""
    step = _STEP.match(line)
    return (int(step[1]), int(step[2])) if step else None


def error_lines(lines: Sequence[str]) -> list[str]:
    """Pick what looks like an error in the output of common tools."""
    return [line for line in lines if _TROUBLE.search(line)]


def run_step(
    what: str,
    argv: Sequence[str],
    directory: Path,
    log: Path,
    progress: Progress,
    env: Mapping[str, str] | None = None,
    *,
    steps: Steps = ninja_step,
    trouble: Trouble = error_lines,
) -> None:
    """Run ``argv`` in ``directory`` and append its output to ``log``.

    ``steps`` makes progress of lines. Raises HarnessError with the lines of the output that ``trouble``
    picks, and the log's path, when the command fails. Neither the command nor what it has started outlives
    Ctrl-C, and the command does not outlive the harness.
    """
    progress(what)
    if shutil.which(argv[0]) is None:
        raise HostError(f"{what}: {argv[0]}: no such program", "is it installed?")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8", errors="replace") as sink:
        sink.write(f"+ {' '.join(argv)}\n")
        sink.flush()
        start = sink.tell()
        child = subprocess.Popen(
            [*DYING, *argv],
            cwd=directory,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a group of its own, to be ended as a whole
        )
        with child:
            _running.add(child)
            try:
                _follow(child, what, sink.write, progress, steps)
            except BaseException:
                _end(child)
                raise
            finally:
                _running.discard(child)
    if child.returncode:
        with log.open(encoding="utf-8", errors="replace") as written:
            written.seek(start)
            lines = written.read().splitlines()
        shown = "\n  ".join((trouble(lines) or lines)[:_SHOWN])
        raise SubjectError(f"{what} failed with code {child.returncode}\n  {shown}", f"whole log: {log}")


def end_steps() -> None:
    """End the steps that other threads of this process run: each raises as if its command had failed."""
    for child in [*_running]:
        _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    """Kill the child's process group: what it leaves is thrown away, so nothing has to end in good order."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _follow(
    child: subprocess.Popen[str],
    what: str,
    write: Callable[[str], object],
    progress: Progress,
    steps: Steps,
) -> None:
    terminal = sys.stderr.isatty()
    last = time.monotonic()
    assert child.stdout is not None
    for line in child.stdout:
        write(line)
        if not (step := steps(line)):
            continue
        done, of = step
        if terminal:
            sys.stderr.write(f"\r{what}: {done} of {of} ")
            if done == of:
                sys.stderr.write("\n")
            sys.stderr.flush()
        elif time.monotonic() - last > _EVERY:
            last = time.monotonic()
            progress(f"{what}: {done} of {of}")
