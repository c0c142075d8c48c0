# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QEMU reads a base through its overlay and writes to the overlay alone."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.machine.overlay import on_overlays
from harness.machine.spec import Drive

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients


@pytest.mark.qemu
def test_qemu_reads_the_base_and_writes_the_overlay(ingredients: Ingredients, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.write_bytes(b"b" * (1 << 20))
    (drive,) = on_overlays([Drive(path=base)], tmp_path)
    reader = {"driver": "qcow2", "node-name": "d", "file": {"driver": "file", "filename": str(drive.path)}}
    asked = ("read -P 0x62 0 1M", "write -P 0x67 4k 4k", "read -P 0x67 4k 4k")
    lines: list[dict[str, object]] = [
        {
            "execute": "human-monitor-command",
            "arguments": {"command-line": f'qemu-io d "{line}"'},
        }
        for line in asked
    ]
    commands: list[dict[str, object]] = [
        {"execute": "qmp_capabilities"},
        {"execute": "blockdev-add", "arguments": reader},
        *lines,
        {"execute": "quit"},
    ]
    argv = [str(ingredients.qemu), "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    told = "\n".join(map(json.dumps, commands))
    done = subprocess.run(argv, input=told, capture_output=True, text=True, check=True, timeout=60)
    assert '"error"' not in done.stdout
    assert "Pattern verification failed" not in done.stdout + done.stderr
    assert base.read_bytes() == b"b" * (1 << 20)
    assert drive.path.stat().st_size > 4 << 16
