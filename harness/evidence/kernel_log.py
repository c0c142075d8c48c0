# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the kernel's log says about itself: its version, memory encryption, its memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.evidence.problems import EvidenceError

# 5.10 prints "AMD Memory Encryption Features active: SEV", later kernels "... active: AMD SEV".
_FEATURES = re.compile(r"\bMemory Encryption Features active: (?P<words>[A-Za-z0-9 -]+)")
_VERSION = re.compile(r"\bLinux version (?P<release>\S+) [^\n]*")
_SEV = re.compile(r"^.*(?:\bSEV\b|\bSEV-|Memory Encryption Features).*$", re.MULTILINE)
_TIMESTAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d{6}\] ")

_MEMORY = re.compile(
    r"^.*\bMemory: \d+K/(?P<present>\d+)K available \([^)\n]*\b(?P<reserved>\d+)K reserved\b.*$", re.MULTILINE
)
_FREED = re.compile(r"\bFreeing [^\n]*? memory: (\d+)K")


def kernel_release(log: str) -> str | None:
    """Return the release from the banner, as ``uname -r`` says it; None when the kernel printed none."""
    match = _VERSION.search(log)
    return match["release"] if match else None


def sev_features(log: str) -> frozenset[str] | None:
    """Return the active features (``SEV``, ``SEV-ES``, ``SEV-SNP``), None where no line names them."""
    match = _FEATURES.search(log)
    return frozenset(match["words"].split()) - {"AMD"} if match else None


def sev_lines(log: str) -> tuple[str, ...]:
    """Return every line that speaks of SEV, without its time stamp."""
    return tuple(_TIMESTAMP.sub("", line).strip() for line in _SEV.findall(log))


@dataclass(frozen=True)
class MemoryLine:
    """What the kernel says once it has its memory, in KiB: the pages that it counts, and those that it keeps.

    ``freed_kb`` is what it gave back later (the initramfs, code for starting only). ``text``: the line.
    """

    present_kb: int
    reserved_kb: int
    freed_kb: int
    text: str


def memory_line(log: str) -> MemoryLine:
    """Read the line ``Memory: …K/…K available (…)`` (Linux, mm/) and what was freed after it."""
    match = _MEMORY.search(log)
    if match is None:
        raise EvidenceError("the kernel printed no line of its memory", "the boot did not get that far")
    freed = sum(int(amount) for amount in _FREED.findall(log, match.end()))
    return MemoryLine(int(match["present"]), int(match["reserved"]), freed, match[0].strip())
