# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots of a made-up QEMU (``fake_qemu.py``), which does what its steps say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.boot.driver import boot
from harness.boot.phases import Limit, Phase
from harness.evidence.record import DOCUMENT_BEGIN, DOCUMENT_END, BootRecord
from harness.machine.spec import ConfidentialObject, MachineSpec
from tests.support.data import FAKE_QEMU

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., BootRecord]
QUICK = dict.fromkeys(Phase, Limit(deadline=60.0, silence=40.0))
OFF: dict[str, object] = {"event": ["SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}]}
RESET: dict[str, object] = {"event": ["SHUTDOWN", {"guest": True, "reason": "guest-reset"}]}
KERNEL = {"serial": "EFI stub: hello\r\nLinux version 6.12\r\nRun /init as init process\r\n"}


def document(body: str) -> dict[str, object]:
    return {"serial": f"{DOCUMENT_BEGIN}\r\n{body}\r\n{DOCUMENT_END}\r\n"}


def fake_boots(tmp_path: Path) -> Run:
    """Return a function that boots the fake through the given steps, into ``record`` of the folder."""
    firmware = tmp_path / "fw.fd"
    firmware.write_bytes(b"firmware")

    def go(
        *steps: dict[str, object],
        confidential: bool = True,
        accel: str = "tcg",
        tracepoints: tuple[tuple[str, str], ...] = (),
        **arguments: Any,
    ) -> BootRecord:
        ledger = (("ledger", str(tmp_path / "record" / "ledger.jsonl")),)
        spec = MachineSpec(
            qemu=FAKE_QEMU,
            firmware=firmware,
            memory_mib=64,
            accel=accel,
            tracepoints=tracepoints,
            cmdline=json.dumps(steps),
            confidential=ConfidentialObject(type="fake", properties=ledger) if confidential else None,
        )
        settings: dict[str, Any] = {"cell_id": "a+b", "platform": "fake", "deadlines": QUICK} | arguments
        return boot(spec, tmp_path / "record", **settings)

    return go
