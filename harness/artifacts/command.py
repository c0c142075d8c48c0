# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Run one long build step: its output in a log, its progress on the terminal, its errors in short."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from harness.artifacts.filelock import Progress

_STEP = re.compile(r"\[(\d+)/(\d+)\]")
_TROUBLE = re.compile(r"\berror\b|\bERROR\b|FAILED|No such file|not found|fatal:")
_SHOWN = 12
_EVERY = 10.0  # seconds between progress lines when there is no terminal to overwrite


def run_step(
    what: str,
    argv: Sequence[str],
    directory: Path,
    log: Path,
    progress: Progress,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run ``argv`` in ``directory`` and append its output to ``log``.

    Counters such as ninja's ``[12/345]`` become progress. Raises HarnessError with the lines of the output
    that look like errors, and the log's path, when the command fails. Neither the command nor what it has
    started outlives Ctrl-C.
    """
    progress(what)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8", errors="replace") as sink:
        sink.write(f"+ {' '.join(argv)}\n")
        sink.flush()
        start = sink.tell()
        try:
            child = subprocess.Popen(
                argv,
                cwd=directory,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # a group of its own, to be ended as a whole
            )
        except (FileNotFoundError, PermissionError) as error:
            raise HarnessError(f"{what}: {argv[0]}: {error.strerror}", "is it installed?") from error
        with child:
            try:
                _follow(child, what, sink.write, progress)
            except BaseException:
                _end(child)
                raise
    if child.returncode:
        with log.open(encoding="utf-8", errors="replace") as written:
            written.seek(start)
            lines = written.read().splitlines()
        trouble = [line for line in lines if _TROUBLE.search(line)] or lines
        shown = "\n  ".join(trouble[:_SHOWN])
        raise HarnessError(
            f"{what}: {argv[0]} failed with code {child.returncode}\n  {shown}", f"whole log: {log}"
        )


def _end(child: subprocess.Popen[str]) -> None:
    """Kill the child's process group: what it leaves is thrown away, so nothing has to end in good order."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _follow(
    child: subprocess.Popen[str], what: str, write: Callable[[str], object], progress: Progress
) -> None:
    terminal = sys.stderr.isatty()
    last = time.monotonic()
    assert child.stdout is not None
    for line in child.stdout:
        write(line)
        if not (step := _STEP.match(line)):
            continue
        if terminal:
            sys.stderr.write(f"\r{what}: {step[1]} of {step[2]} ")
            if step[1] == step[2]:
                sys.stderr.write("\n")
            sys.stderr.flush()
        elif time.monotonic() - last > _EVERY:
            last = time.monotonic()
            progress(f"{what}: {step[1]} of {step[2]}")
