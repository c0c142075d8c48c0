# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Memory figures from inside the guest, in bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.problems import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIB = 1024
_LINE = re.compile(r"^(?P<name>[\w()]+): +(?P<value>\d+)(?: (?P<unit>\S+))?$")


@dataclass(frozen=True)
class Memory:
    """Figures of /proc/meminfo; ``unaccepted`` is None when the kernel has no such line, so no support."""

    total: int
    free: int
    unaccepted: int | None


def memory_figures(meminfo_kb: Mapping[str, int]) -> Memory:
    """Take the figures that matter from /proc/meminfo's values in kB (1024 bytes, as Linux means it)."""
    missing = [name for name in ("MemTotal", "MemFree") if name not in meminfo_kb]
    if missing:
        raise EvidenceError(
            f"the guest's meminfo lacks {', '.join(missing)}", "the probe's document is damaged"
        )
    unaccepted = meminfo_kb.get("Unaccepted")
    return Memory(
        total=meminfo_kb["MemTotal"] * _KIB,
        free=meminfo_kb["MemFree"] * _KIB,
        unaccepted=None if unaccepted is None else unaccepted * _KIB,
    )


def parse_meminfo(text: str) -> dict[str, int]:
    """Read /proc/meminfo's text into values in kB; lines without a unit (counts) are left out.

    Any other line, or a unit that is not kB, is an EvidenceError.
    """
    values = {}
    for line in text.splitlines():
        match = _LINE.match(line.rstrip())
        if match is None or match["unit"] not in (None, "kB"):
            raise EvidenceError(f"not a line of /proc/meminfo: {line!r}", "the text is damaged")
        if match["unit"]:
            values[match["name"]] = int(match["value"])
    return values
