# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One QEMU process: in a session of its own, and gone when the harness is gone, even by SIGKILL."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import shlex
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from harness.errors import HostError
from harness.machine.background import background

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

OUTPUT_SHOWN = 4000
"""How many of the last characters of QEMU's own output an error message repeats."""

_BYTES_READ = 4 * OUTPUT_SHOWN
"""A character of UTF-8 takes four bytes at most."""

KILL_SECONDS = 60.0
"""How long the host may take to tear down a killed QEMU (tens of GiB of guest memory)."""

# setpriv arms the parent-death signal and keeps its process id through both execs; the shell then looks
# whether the harness died before that. $PPID is read when the shell starts, so after the signal was armed.
# It enters QEMU's cgroup, where there is one.
# QEMU writes no core, which would hold the guest's memory, and a file at its limit takes no more: no signal.
_SHIM = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "sh",
    "-c",
    """
    [ "$PPID" = "$1" ] || exit 125
    [ -z "$2" ] || echo 0 > "$2" || exit 125
    shift 2
    ulimit -c 0
    trap "" XFSZ
    exec "$@"
    """,
    "sh",
)


class LaunchError(HostError):
    """QEMU did not come up; carries its exit code (None: still alive but mute), command, output and log."""

    def __init__(
        self, why: str, command: Sequence[str], returncode: int | None, log: Path, mend: str = ""
    ) -> None:
        output = read_tail(log)
        self.why = why
        self.command = tuple(command)
        self.returncode = returncode
        self.output = output
        self.log = log
        lines = output.splitlines()
        # Warnings about CPU features, repeated for each vCPU, would hide why it ended.
        lines = [line for line in lines if ": warning: " not in line] or lines
        said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        super().__init__(
            f"QEMU did not start: {why}\n  QEMU said:\n{said}\n  command: {shlex.join(command)}",
            f"{mend}; its whole output is in {log}" if mend else f"its whole output is in {log}",
        )

    def mended(self, mend: str) -> LaunchError:
        """Return the same error, whose hint says what mends it."""
        return LaunchError(self.why, self.command, self.returncode, self.log, mend)


class Process:
    """A started command. Output of both kinds goes to ``log``; only what was started here is ever killed."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path,
        inherited: Sequence[int],
        on_exit: Callable[[int], None],
        entrance: Path | None = None,
    ) -> None:
        """Start in ``folder``, passing the descriptors on; ``on_exit(code)`` runs on the loop's thread.

        ``entrance``: the ``cgroup.procs`` of the cgroup that it is to run in, None: the harness's own.
        """
        if not os.access(command[0], os.X_OK):
            log.write_bytes(b"")
            raise LaunchError(f"{command[0]} is not an executable file", command, None, log)
        self.command = tuple(command)
        self.log = log
        self._on_exit = on_exit
        self._folder = folder
        self._inherited = tuple(inherited)
        self._entrance = str(entrance or "")
        self._pidfd = -1
        self._reaped = threading.Event()
        try:
            background().call(self._start)
        except OSError as error:
            raise LaunchError(str(error), command, None, log) from error

    def _start(self) -> None:
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                [*_SHIM, str(os.getpid()), self._entrance, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                pass_fds=self._inherited,
                start_new_session=True,
            )
        self._pidfd = os.pidfd_open(self._popen.pid)
        background().loop.add_reader(self._pidfd, self._reap)

    def _reap(self) -> None:
        background().loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        returncode = self._popen.wait()
        self._reaped.set()
        self._on_exit(returncode)

    @property
    def pid(self) -> int:
        """The process number."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit code (negative: signal number), None while it runs."""
        return self._popen.returncode

    def confine(self, file_bytes: int, processor_seconds: float) -> None:
        """Let no file of the process grow beyond a size, and the process run no longer than that in all.

        Not at its start: the guest's memory is a file, too, and larger than any other.
        """
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
            if math.isfinite(processor_seconds):
                whole = math.ceil(processor_seconds)
                resource.prlimit(self.pid, resource.RLIMIT_CPU, (whole, whole + 1))

    def wait(self, seconds: float) -> int | None:
        """Wait for the exit, at most that long."""
        self._reaped.wait(seconds)
        return self._popen.returncode

    def kill(self) -> None:
        """Kill the session's process group, unless it has ended, and wait until it is reaped."""
        if not self._reaped.is_set():
            background().call(self._kill)
            self._reaped.wait(KILL_SECONDS)

    def _kill(self) -> None:
        # Only this thread reaps (_reap), so the leader's id, which is the group's, is not another's by now.
        if not self._reaped.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)


def read_tail(log: Path) -> str:
    """Return the end of a log file as text, in whole lines, empty when there is none.

    A guest can make QEMU say a lot: no more of it is read than is shown.
    """
    try:
        with log.open("rb") as file:
            begins = max(0, file.seek(0, os.SEEK_END) - _BYTES_READ)
            file.seek(begins)
            text = file.read().decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
    tail = text[-OUTPUT_SHOWN:]
    return tail if tail == text and not begins else tail.partition("\n")[2] or tail
