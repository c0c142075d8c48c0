# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A firmware module made for tests: its .debug file, as edk2's build leaves it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LINKED = (
    "-Wl,-Ttext=0x240,--entry=_ModuleEntryPoint,--build-id=0x1234,--emit-relocs",
    "-nostdlib",
    "-static",
)
_COMPILED = ("gcc", "-g", "-O0", "-fno-asynchronous-unwind-tables", "-no-pie")


def build_module(root: Path, source: str) -> Path:
    """Return a folder of symbols with one module, ``Made.debug``, of ``MadePkg/Made.c``."""
    package, symbols = root / "workspace" / "MadePkg", root / "symbols"
    package.mkdir(parents=True)
    symbols.mkdir()
    (package / "Made.c").write_text(source)
    command = [*_COMPILED, *_LINKED, "-o", str(symbols / "Made.debug"), str(package / "Made.c")]
    subprocess.run(command, check=True)
    return symbols
