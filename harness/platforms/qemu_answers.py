# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a QEMU says of itself: its version, and whether it can make the guests of a platform."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.machine.argv import SANDBOX
from harness.platforms.leaf import failed, passed

if TYPE_CHECKING:
    from pathlib import Path

    from harness.platforms.leaf import Leaf

_SECONDS = 10
RELAUNCHES = "x-change-vmfd-on-reset"
"""The machine's property of a QEMU that launches confidential guests anew on reset (from 11.0 on)."""
_IGVM = "igvm-cfg"
_VERSION = re.compile(r"^QEMU emulator version (?P<version>\d+\.\d+\S*)", re.MULTILINE)


@dataclass(frozen=True)
class QemuAnswers:
    """The traits of a QEMU, asked of the program itself.

    ``version``: "" when the program gave none. ``objects``: which of those asked for it has. ``igvm``:
    whether it takes firmware as an IGVM file. ``resets``: whether it launches a confidential guest anew on
    reset.
    ``capabilities``: QMP's ``query-sev-capabilities``, empty with the reason in ``trouble``.
    """

    version: str
    objects: frozenset[str]
    capabilities: tuple[tuple[str, int], ...] = ()
    trouble: str = ""
    igvm: bool = False
    resets: bool = False

    def __str__(self) -> str:
        """Return them as messages show them."""
        has = " and ".join(sorted(self.objects)) or "no such object"
        igvm = "takes IGVM files" if self.igvm else "takes no IGVM files"
        resets = "launches guests anew on reset" if self.resets else "ends guests on reset"
        return f"QEMU {self.version or 'of no known version'} has {has}, {igvm}, {resets}"


def ask(qemu: Path, *objects: str, sev: bool = False) -> QemuAnswers:
    """Ask a QEMU for its version and its ``objects``; with ``sev`` for SEV's capabilities under KVM."""
    found = _VERSION.search(_run(qemu, "--version"))
    there = set(_run(qemu, "-object", "help").split())
    traits = QemuAnswers(
        version=found["version"] if found else "",
        objects=frozenset(objects) & there,
        igvm=_IGVM in there,
        resets=RELAUNCHES in _run(qemu, "-machine", "q35,help"),
    )
    if not sev:
        return traits
    asked = _requests(("query-sev-capabilities", {}))
    capabilities, trouble = read_capabilities(_run(qemu, *_SILENT, *_KVM_OR_TCG, asked=asked))
    return replace(traits, capabilities=capabilities, trouble=trouble)


def has_sandbox(qemu: Path) -> bool:
    """Return whether a QEMU was built with seccomp, and so takes ``-sandbox``; asked once a binary."""
    try:
        return _has_sandbox(qemu, qemu.stat().st_mtime_ns)
    except OSError:
        return False


@lru_cache(maxsize=16)
def _has_sandbox(qemu: Path, _changed: int) -> bool:
    return _VERSION.search(_run(qemu, *SANDBOX, "--version")) is not None


def announced_by_tcg(qemu: Path, features: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the CPU's ``features`` that guests under this QEMU's TCG can have; asked once a binary.

    CPU model ``max`` has all that there are. A QEMU that gives no answer has none.
    """
    try:
        return _announced_by_tcg(qemu, features, qemu.stat().st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=16)
def _announced_by_tcg(qemu: Path, features: tuple[str, ...], _changed: int) -> tuple[str, ...]:
    model = {"type": "full", "model": {"name": "max"}}
    asked = _requests(("query-cpu-model-expansion", model))
    return read_features(_run(qemu, *_SILENT, "-accel", "tcg", asked=asked), features)


def read_features(said: str, features: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ``features`` that are on in what QMP said after ``query-cpu-model-expansion``."""
    for line in said.splitlines():
        try:
            given = json.loads(line)["return"]["model"]["props"]
        except (ValueError, KeyError, TypeError):
            continue
        return tuple(feature for feature in features if given.get(feature) is True)
    return ()


def _requests(*commands: tuple[str, dict[str, Any]]) -> str:
    every = (("qmp_capabilities", {}), *commands, ("quit", {}))
    return "".join(json.dumps({"execute": name, "arguments": words}) + "\n" for name, words in every)


_SILENT: tuple[str, ...] = (
    *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-qmp", "stdio", "-S"),
    *("-machine", "none"),
)
"""A machine with a board would want SeaBIOS, which a QEMU for OVMF guests need not have."""
_KVM_OR_TCG = ("-accel", "kvm", "-accel", "tcg")
"""Where KVM does not start, QEMU answers that it is not enabled."""


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
    return passed(name, str(answers))


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
