# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Our own programs for guests, each compiled statically from one file."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from harness.errors import HostError, SubjectError
from harness.store.file_tree import digest_file

if TYPE_CHECKING:
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.store.inputs import JSONValue

KIND = "guest-program"
MADE_WITH = ("compiler",)
"""Inputs that are tools."""
_COMPILE = ("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s")


def guest_program(source: Path, apt: AptRoot) -> Path:
    """Return the program of a C file; HarnessError when it does not compile, or there is no compiler."""
    inputs: dict[str, JSONValue] = {
        "source": digest_file(source),
        "compile": _COMPILE,
        "compiler": _compiler(),
    }

    def build(directory: Path) -> None:
        _compile(source, directory / source.stem)

    artifact = apt.store.get(
        KIND, source.stem, inputs, build, apt.progress, tools=("gcc",), made_with=MADE_WITH
    )
    return artifact.path / source.stem


def _compiler() -> str:
    try:
        done = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return "missing"
    return done.stdout.partition("\n")[0]


def _compile(source: Path, program: Path) -> None:
    try:
        done = subprocess.run(
            [*_COMPILE, "-o", str(program), str(source)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise HostError("gcc is not installed", "./run installs it, or: apt-get install gcc") from None
    if done.returncode:
        raise SubjectError(
            f"{source}: does not compile", "\n".join(done.stderr.splitlines()[:10]) or "gcc said nothing"
        )
