# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The report of a run of 500 cells of which 20 failed: how long it takes, and how large its index is.

Each failed cell's record is one of the stored records, as large as a real one.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, tell
from harness.results.folder import StoredRun
from harness.results.report.pages import write_report
from tests.support.data import DATA
from tests.support.runs import boot, check, end, finding, write_run

if TYPE_CHECKING:
    from harness.results.model import Line

CELLS, FAILED, CHECKS = 500, 20, 24
SECONDS, MEGABYTES = 6.0, 2.0
_RECORD = DATA / "records/debian-2025.02+debian-5.10+direct+2G+snp-emulated"
_AXES = ("firmware", "kernel", "loader", "memory", "platform")


def made_up_run(records: Path) -> Path:
    """Return the folder of a run with records for the cells that failed."""
    lines: list[Line] = []
    cells = [f"firmware-{n % 12}+kernel-{n % 15}+loader-{n % 7}+{n}G+snp-emulated" for n in range(CELLS)]
    for number, cell in enumerate(cells):
        lines.append(boot(cell, axes=dict(zip(_AXES, cell.split("+"), strict=True))))
        told = (finding("kind", "6442450944 bytes are in no e820 entry: [0x100000000-0x27fffffff]"),)
        for name in range(CHECKS):
            bad = number < FAILED and name < 3
            state, findings = ("failed", told) if bad else ("passed", ())
            lines.append(check(cell, f"check-{name}", state, findings=findings))  # type: ignore[arg-type]
    run = write_run(records, "run", *lines, end(1))
    for cell in cells[:FAILED]:
        shutil.copytree(_RECORD, run.path / cell)
    return run.path


def main() -> int:
    """Print both figures and whether they hold."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = made_up_run(Path(folder))
        began = time.monotonic()
        first = write_report(StoredRun.load(path), Path(folder, "report"))
        seconds, size = time.monotonic() - began, first.stat().st_size / 1e6
        pages = len(list((first.parent / "cells").iterdir()))
    good = [
        tell(Figure(f"report of {CELLS} cells", seconds, "s", SECONDS), f"{pages} pages"),
        tell(Figure("its index", size, "MB", MEGABYTES)),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
