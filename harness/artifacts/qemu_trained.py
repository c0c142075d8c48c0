# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QEMU compiled twice, the second time by what boots between have counted: gcc's profile-guided optimization.

A profile belongs to one source and one compiler, so none is kept: it is made where it is used, in the same
folder, and goes with it. That pays for a QEMU which is compiled once for many machines.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.progress import Progress

COUNT, USE = "-Db_pgo=generate", "-Db_pgo=use"
"""Options of meson: to count, and to compile by the counts."""
_COUNTS = "*.gcda"
_TRIAL = "int main(void) { return 0; }\n"


@dataclass(frozen=True)
class Training:
    """Boots that a QEMU is trained by."""

    named: str
    """What is booted, for provenance."""
    boot: Callable[[Path], None]
    """Boot with the QEMU of this path, each until QEMU ends by itself: only then it writes its counts."""


def possible(training: Training | None, progress: Progress) -> Training | None:
    """Return the training where the compiler can count; else None, and say that it is left out."""
    if training is not None and not compiler_counts():
        progress("gcc cannot count what a program does here (-fprofile-generate): QEMU is compiled untrained")
        return None
    return training


def compiler_counts() -> bool:
    """Return whether gcc makes a program that counts, and takes its counts."""
    with tempfile.TemporaryDirectory(prefix="profile-") as name:
        Path(name, "trial.c").write_text(_TRIAL)
        compiled = ("gcc", "-o", "trial", "trial.c")
        steps = ([*compiled, "-fprofile-generate"], ["./trial"], [*compiled, "-fprofile-use"])
        try:
            done = (subprocess.run(it, cwd=name, capture_output=True, check=False) for it in steps)
            return all(it.returncode == 0 for it in done)
        except OSError:
            return False


def train(training: Training, qemu: Path, progress: Progress) -> None:
    """Boot with a QEMU that counts; HarnessError where it left no counts beside its object files."""
    progress(f"QEMU: boots to learn from, {training.named}")
    training.boot(qemu)
    if next(qemu.parent.rglob(_COUNTS), None) is None:
        raise HarnessError(
            f"the boots of {training.named} left no counts", "QEMU writes them as it ends: was it killed?"
        )
