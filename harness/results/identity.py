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

from harness.results.model import HostData

_KVM_AMD = "sys/module/kvm_amd/parameters"
_FAMILY_OF_SEV = re.compile(r"^(?:sev|sev_es|sev_snp|debug_swap|ciphertext_hiding_asids)$")


@dataclass(frozen=True)
class Checkout:
    """A git checkout: its commit, and whether files differ from it. Empty where there is no git."""

    commit: str = ""
    dirty: bool = False


def host_data(root: Path = Path("/")) -> HostData:
    """Return the host's facts; what cannot be read is empty.

    ``sev`` holds kvm_amd's parameters and, where the kernel shows them, the SEV firmware's version and TCB.
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
        sev=_sev(root),
    )


def _fields(cpuinfo: str) -> list[tuple[str, str]]:
    """Return the first processor's fields."""
    first = cpuinfo.partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines() if ":" in line)
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _sev(root: Path) -> dict[str, str]:
    found = {}
    folder = root / _KVM_AMD
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if _FAMILY_OF_SEV.match(path.name) and (value := _text(path).strip()):
                found[f"kvm_amd.{path.name}"] = value
    for path in sorted((root / "sys/bus/pci/drivers/ccp").glob("*/*_version")):
        found[f"ccp.{path.name}"] = _text(path).strip()
    return found


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
