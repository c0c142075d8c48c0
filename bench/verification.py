# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What it costs that a boot compares its artifacts with what was made: a share of the boot's processor time.

    python -m bench.verification [CELL...]

Both are of the same boots. Each is one in which no file has been looked at before, so in a run, which looks
at a file once, the share is smaller. The boot's time is that of harness and QEMU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from bench.firmware_build import spent
from bench.measure import loaded
from harness.boot import driver
from harness.boot.cell_machine import machine_spec
from harness.evidence.record import EndingKind
from harness.recipes.project import find_project
from harness.run.find_cell import find_cell
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.evidence.record import Input
    from harness.matrix.cell import Cell

RUNS = 3
GOAL = 1.0
"""Percent."""
CELLS = (
    "debian-2025.02+debian-6.12+direct+2G+plain",
    "debian-2025.02+debian-6.12+grub-2.12+2G+snp-emulated",
)
"""The shortest boot, of which a share is largest, and one with a disk."""


class Looking:
    """Takes the place of what looks at a boot's files, and takes the time of it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._look = driver._digests  # noqa: SLF001  # what is measured

    def __call__(self, ingredients: Mapping[str, Path | str]) -> dict[str, Input]:
        """Look at all files as if none had been looked at before."""
        driver._file_digest.cache_clear()  # noqa: SLF001
        began = time.thread_time()
        found = self._look(ingredients)
        self.seconds = time.thread_time() - began
        return found


def share(session: Session, cell: Cell) -> float:
    """Boot a cell; return the percent of the processor time that looking at its files took."""
    spec = machine_spec(cell, session.ingredients, session.host)
    looking = Looking()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        usual, driver._digests = driver._digests, looking  # noqa: SLF001

        def boot() -> None:
            record = driver.boot(spec, Path(folder, "record"), cell_id=cell.id, platform=cell.platform)
            assert record.ending.kind is EndingKind.COMPLETED, record.ending

        try:
            whole = spent(boot).cpu
        finally:
            driver._digests = usual  # noqa: SLF001
    return 100 * looking.seconds / whole


def main() -> int:
    """Print the figures and whether they hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", nargs="*", default=CELLS, metavar="CELL")
    session = Session(Options(), find_project(Path.cwd()), print)
    cells = [find_cell(each, session) for each in parser.parse_args().cells]
    print(loaded())
    good = True
    for cell in cells:
        percent = statistics.median(share(session, cell) for _ in range(RUNS))
        good &= tell(Figure(f"looking at files, of a boot ({cell.id})", percent, "%", GOAL))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
