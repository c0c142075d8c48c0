# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Who runs where: the facts of ``run.json``.

Files are read below a root, so that tests can give a host's tree.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from harness.platforms.sev import answers
from harness.platforms.sev.answers import sev_facts
from harness.results.model import HostData

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.platforms.sev.answers import Answers


@dataclass(frozen=True)
class Checkout:
    """A git checkout: its commit, and whether files differ from it. Empty where there is no git."""

    commit: str = ""
    dirty: bool = False


def host_data(root: Path = Path("/"), ask: Callable[[Path], Answers] = answers.ask) -> HostData:
    """Return the host's facts; what cannot be read is empty.

    ``ask`` gives the answers of the host's secure processor, of which ``sev`` tells, too.
    """
    processors = _text(root / "proc/cpuinfo")
    fields = dict(_fields(processors))
    release = dict(line.split("=", 1) for line in _text(root / "etc/os-release").splitlines() if "=" in line)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return HostData(
        name=socket.gethostname(),
        cpu=fields.get("model name", ""),
        cpus=len(os.sched_getaffinity(0)),
        microcode=fields.get("microcode", ""),
        memory_mib=int(memory[1]) >> 10 if memory else 0,
        kernel=platform.release(),
        distribution=release.get("PRETTY_NAME", "").strip('"'),
        python=platform.python_version(),
        sev=sev_facts(root, fields.get("cpu family", ""), ask(root)),
    )


def _fields(cpuinfo: str) -> list[tuple[str, str]]:
    """Return the first processor's fields."""
    first = cpuinfo.partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines() if ":" in line)
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@cache
def checkout(folder: Path) -> Checkout:
    """Return the git commit of a folder's checkout; nothing is written, git's index neither."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return Checkout()
    return Checkout(commit, dirty=bool(_git(folder, "status", "--porcelain", "--untracked-files=no")))


def _git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@cache
def harness_version() -> str:
    """Return the version of the installed harness."""
    try:
        return metadata.version("ovmf-acceptance")
    except metadata.PackageNotFoundError:
        return "unknown"
