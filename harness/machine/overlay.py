# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Overlays over a machine's drives: what the guest writes goes there, the drives stay as they were."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.formats.qcow2 import overlay_bytes, virtual_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.machine.spec import Drive


def on_overlays(drives: Sequence[Drive], folder: Path) -> tuple[Drive, ...]:
    """Return every drive that may be written an overlay ``diskN.qcow2`` in ``folder``."""
    return tuple(_overlaid(drive, folder / f"disk{number}.qcow2") for number, drive in enumerate(drives))


def _overlaid(drive: Drive, path: Path) -> Drive:
    if drive.read_only:
        return drive
    size: int | None = drive.path.stat().st_size
    if drive.format == "qcow2":
        with drive.path.open("rb") as file:
            size = virtual_size(file.read(1 << 10))
        if size is None:
            raise HarnessError(f"{drive.path}: no qcow2 image", "name a disk image as QEMU makes it")
    assert size is not None
    path.write_bytes(overlay_bytes(str(drive.path), size, drive.format))
    return replace(drive, path=path, format="qcow2")
