# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A run as KernelCI's common database takes it: JSON of schema v5.3 (kcidb-io, ``schema/v05_03.py``).

A kernel recipe is a checkout and a build, a check of a cell is a test, with the cell in ``environment`` and
what only we know in ``misc``. The file is written, never sent.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from harness.results.folder import deciding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.results.folder import StoredRun
    from harness.results.model import BootLine, CheckLine, State

VERSION = {"major": 5, "minor": 3}
_STATUS: Mapping[State, str] = {
    "passed": "PASS",
    "failed": "FAIL",
    "known-bad": "FAIL",
    "fixed": "PASS",
    "cannot-judge": "ERROR",
    "not-asked": "SKIP",
    "host-error": "MISS",
}


def as_kcidb(run: StoredRun, origin: str) -> dict[str, Any]:
    """Return the run as a KCIDB document; ``origin`` names who submits (``[a-z0-9_]+``), else ValueError."""
    if re.fullmatch(r"[a-z0-9_]+", origin) is None:
        raise ValueError(f"{origin!r} is no KCIDB origin: lower-case letters, digits and _")
    boots = {boot.cell: boot for boot in run.boots}
    kernels = {boot.inputs.get("kernel", ""): boot for boot in run.boots}
    return {
        "version": VERSION,
        "checkouts": [_checkout(boot, digest, run, origin) for digest, boot in kernels.items()],
        "builds": [_build(digest, boot, run, origin) for digest, boot in kernels.items()],
        "tests": [
            _test(line, boots[line.cell], run, origin) for line in deciding(run.checks) if line.cell in boots
        ],
    }


def _id(origin: str, *parts: str) -> str:
    return f"{origin}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}"


def _checkout(boot: BootLine, digest: str, run: StoredRun, origin: str) -> dict[str, Any]:
    name = boot.axes.get("kernel", "unknown")
    return {
        "id": _id(origin, "checkout", digest),
        "origin": origin,
        "tree_name": name,
        "start_time": run.run.began,
        "valid": True,
        "misc": {"recipe": name},
    }


def _build(digest: str, boot: BootLine, run: StoredRun, origin: str) -> dict[str, Any]:
    return {
        "id": _id(origin, "build", digest),
        "checkout_id": _id(origin, "checkout", digest),
        "origin": origin,
        "architecture": "x86_64",
        "start_time": run.run.began,
        "status": "PASS",
        "comment": f"{boot.axes.get('kernel', '')}: the image's SHA-256 begins with {digest}",
    }


def _test(line: CheckLine, boot: BootLine, run: StoredRun, origin: str) -> dict[str, Any]:
    findings = [{"kind": it.kind, "says": it.says, "values": it.values} for it in line.findings]
    made: dict[str, Any] = {
        "id": _id(origin, "test", run.id, *line.key),
        "build_id": _id(origin, "build", boot.inputs.get("kernel", "")),
        "origin": origin,
        "environment": {
            "comment": f"{line.platform} ({line.tier}) on {run.run.host.cpu}",
            "misc": {"cell": line.cell, **boot.axes},
        },
        "path": f"ovmf_acceptance.{re.sub(r'[^A-Za-z0-9_-]', '_', line.check)}",
        "comment": line.question,
        "status": _STATUS[line.state],
        "start_time": line.at,
        "duration": line.seconds,
        "misc": {"state": line.state, "ending": boot.ending, "findings": findings, "run": run.id},
    }
    if boot.detail:
        made["log_excerpt"] = boot.detail[:16384]
    return made
