# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the kernel's log says about itself: its version, memory encryption, and that something went wrong."""

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

_ALARMS = (
    ("panic", re.compile(r"Kernel panic - not syncing|PANIC: |panic: ")),
    (
        "exit-boot-services",
        re.compile(r"exit_boot\(\) failed!|efi_main\(\) failed!|efi_stub_entry\(\) failed!"),
    ),
    (
        "memory-acceptance",
        re.compile(
            r"Cannot accept memory|Failed to accept memory|[Mm]emory acceptance protocol failed|"
            r"Unknown version of unaccepted memory table"
        ),
    ),
    ("sev", re.compile(r"SEV-SNP: PSC|PSC processing going backward|unhandled #VC|in early #VC exception")),
    ("bug", re.compile(r"\bkernel BUG at|\bBUG: |\bOops: |general protection fault")),
    ("lockup", re.compile(r"soft lockup|rcu_\w+ self-detected stall|blocked for more than \d+ seconds")),
    ("warning", re.compile(r"\bWARNING: (?:CPU|.* at )|\.text \.data \.bss are not marked as E820_TYPE_RAM")),
)


@dataclass(frozen=True)
class Alarm:
    """A line that no healthy boot prints; ``kind`` names the group of patterns that it matched."""

    kind: str
    line: str


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


def alarms(log: str) -> tuple[Alarm, ...]:
    """Return every line that means that something went wrong, in order, each once per line."""
    found = []
    for line in log.splitlines():
        kind = next((kind for kind, pattern in _ALARMS if pattern.search(line)), None)
        if kind is not None:
            found.append(Alarm(kind, line.strip()))
    return tuple(found)


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
