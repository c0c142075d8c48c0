# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Overlays over a machine's drives: what the guest writes goes there, the drives stay as they were."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.formats.qcow2 import overlay_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.machine.spec import Drive


def on_overlays(drives: Sequence[Drive], folder: Path) -> tuple[Drive, ...]:
    """Return every raw drive that may be written an overlay ``diskN.qcow2`` in ``folder``."""
    return tuple(_overlaid(drive, folder / f"disk{number}.qcow2") for number, drive in enumerate(drives))


def _overlaid(drive: Drive, path: Path) -> Drive:
    if drive.read_only or drive.format != "raw":
        return drive
    path.write_bytes(overlay_bytes(str(drive.path), drive.path.stat().st_size))
    return replace(drive, path=path, format="qcow2")
