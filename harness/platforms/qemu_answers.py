# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a QEMU says of itself: its version, and whether it can make the guests of a platform."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.platforms.leaf import failed, passed

if TYPE_CHECKING:
    from pathlib import Path

    from harness.platforms.leaf import Leaf

_SECONDS = 10
_VERSION = re.compile(r"^QEMU emulator version (?P<version>\d+\.\d+\S*)", re.MULTILINE)


@dataclass(frozen=True)
class QemuAnswers:
    """``version``: "" when the program gave none. ``objects``: which of those asked for it has.

    ``capabilities``: QMP's ``query-sev-capabilities``, empty with the reason in ``trouble``.
    """

    version: str
    objects: frozenset[str]
    capabilities: tuple[tuple[str, int], ...] = ()
    trouble: str = ""


def ask(qemu: Path, *objects: str, sev: bool = False) -> QemuAnswers:
    """Ask a QEMU for its version and its ``objects``; with ``sev`` for SEV's capabilities under KVM."""
    found = _VERSION.search(_run(qemu, "--version"))
    has = frozenset(name for name in objects if f"{name} options" in _run(qemu, "-object", f"{name},help"))
    if not sev:
        return QemuAnswers(found["version"] if found else "", has)
    capabilities, trouble = read_capabilities(_run(qemu, *_SILENT, asked=_ASKED))
    return QemuAnswers(found["version"] if found else "", has, capabilities, trouble)


_SILENT: tuple[str, ...] = (
    *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-qmp", "stdio", "-S"),
    *("-machine", "q35", "-accel", "kvm", "-m", "16M"),
)
_ASKED = "".join(
    json.dumps({"execute": name}) + "\n" for name in ("qmp_capabilities", "query-sev-capabilities", "quit")
)


def read_capabilities(said: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """Read what QMP said after ``query-sev-capabilities``: numbers by name, or what is wrong."""
    last = ""
    for line in said.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            last = line
            continue
        if "error" in answer:
            return (), str(answer["error"].get("desc", answer["error"]))
        given = answer.get("return")
        if isinstance(given, dict) and "cbitpos" in given:
            return tuple((name, given[name]) for name in ("cbitpos", "reduced-phys-bits")), ""
    return (), last or "it gave no answer"


def leaf(answers: QemuAnswers, kind: str, mend: str) -> Leaf:
    """Return whether a QEMU has the object ``kind``; ``mend``: how to get one that has."""
    name = "qemu"
    if kind not in answers.objects:
        version = answers.version or "of no known version"
        return failed(name, f"QEMU {version} has no {kind}", mend)
    return passed(name, f"QEMU {answers.version} has {kind}")


def _run(qemu: Path, *arguments: str, asked: str = "") -> str:
    try:
        done = subprocess.run(
            [str(qemu), *arguments],
            input=asked,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr
