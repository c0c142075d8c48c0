# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs made up for tests: folders with ``run.json`` and ``results.jsonl``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.results.folder import RunWriter, StoredRun
from harness.results.model import (
    PROJECT,
    SCHEMA,
    BootLine,
    CheckLine,
    EndLine,
    FindingData,
    HostData,
    RunData,
    State,
)

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.model import Line, RunKind

AT = "2026-11-30T02:00:00+00:00"
HOST = HostData(
    name="lab1",
    cpu="AMD EPYC 7713",
    cpus=2,
    memory_mib=24576,
    kernel="6.1.0-1",
    distribution="Debian GNU/Linux 12 (bookworm)",
    python="3.11.2",
)


def run_data(name: str, kind: RunKind = "scenarios", **changes: Any) -> RunData:
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "project": PROJECT,
        "id": name,
        "kind": kind,
        "harness": "0.2.0",
        "commit": "abc123",
        "command": ("pytest", "scenarios/"),
        "began": f"2026-11-30T02:00:00+00:00#{name}",
        "host": HOST,
        "qemu": "10.0.13",
        "qemu_key": "6afdba54",
        **changes,
    }
    return RunData.model_validate(made)


def check(cell: str, name: str, state: State = "passed", **changes: Any) -> CheckLine:
    made: dict[str, Any] = {
        "cell": cell,
        "check": name,
        "question": "Is it so?",
        "scenario": "scenarios/a.yaml:7",
        "platform": "snp-emulated",
        "tier": "emulated",
        "state": state,
        "inputs": {"firmware": "1111", "kernel": "2222"},
        "record": cell,
        "at": AT,
        **changes,
    }
    return CheckLine.model_validate(made)


def finding(kind: str, says: str, *evidence: str, **values: Any) -> FindingData:
    return FindingData(kind=kind, says=says, values=values, evidence=evidence)


def boot(cell: str, **changes: Any) -> BootLine:
    made: dict[str, Any] = {
        "cell": cell,
        "axes": {"firmware": cell.split("+", maxsplit=1)[0], "memory": "8G"},
        "platform": "snp-emulated",
        "tier": "emulated",
        "ending": "completed",
        "phase": "done",
        "seconds": 5.0,
        "inputs": {"firmware": "1111", "kernel": "2222"},
        "record": cell,
        "at": AT,
        **changes,
    }
    return BootLine.model_validate(made)


def end(code: int = 0) -> EndLine:
    return EndLine(code=code, seconds=60.0, at=AT)


def write_run(records: Path, name: str, *lines: Line, **changes: Any) -> StoredRun:
    writer = RunWriter(records / name)
    writer.begin(run_data(name, **changes))
    writer.add(*lines)
    return StoredRun.load(records / name)
