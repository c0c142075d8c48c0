# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One boot of the matrix: a frozen value with a stable, readable name."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

LOADERS = ("direct",)
"""Loaders without a recipe. ``direct``: QEMU's ``-kernel``; the firmware starts the kernel's EFI stub."""

GUESTS = ("initramfs", "initramfs-large")
"""Guests without a recipe. ``initramfs``: busybox and our probe. ``initramfs-large``: the same, but
more than a GiB."""

LAST_ACTIONS = ("reboot", "kexec", "crash")
"""Actions after which the kernel that did them is gone."""

_MIB = {"M": 1, "G": 1024}
_CMDLINE_SHOWN = 24


def parse_memory(text: str) -> int:
    """Read ``8G`` or ``2817M`` (binary units, as QEMU's ``-m``) as MiB; ``ValueError`` says what to write."""
    match = re.fullmatch(r"([0-9]+)([MG])", text, re.ASCII)
    if match is None:
        if close := re.fullmatch(r"\s*([0-9]+)\s*([mg])(i?b)?\s*", text, re.ASCII | re.IGNORECASE):
            raise ValueError(f"{text!r} is not a memory size; write {close[1]}{close[2].upper()}")
        if re.fullmatch(r"[0-9]+", text, re.ASCII):
            raise ValueError(f"the memory size {text} has no unit; write {text}M or {text}G")
        raise ValueError(f"{text!r} is not a memory size; write a whole number with M or G: 8G, 2817M")
    mib = int(match[1]) * _MIB[match[2]]
    if mib == 0:
        raise ValueError(f"a guest needs memory, found {text}")
    return mib


def format_memory(mib: int) -> str:
    """Write MiB in the shortest exact form: ``8G``, ``2817M``."""
    return f"{mib // 1024}G" if mib % 1024 == 0 else f"{mib}M"


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One boot. ``firmware`` and ``kernel`` name recipes; ``platform`` is what the guest really runs on.

    ``cmdline`` holds words added to the kernel's command line; ``action`` is what the guest does after it has
    reported: words such as ``touch:4096``, done in order; ``guest`` names what runs in it.
    """

    firmware: str
    kernel: str
    loader: str
    memory_mib: int
    platform: str
    vcpus: int = 1
    cmdline: str = ""
    action: str = ""
    guest: str = GUESTS[0]

    @property
    def whole_system(self) -> bool:
        """Whether the guest is a whole Debian, which is reached over SSH."""
        return self.guest not in GUESTS

    @property
    def id(self) -> str:
        """Such as ``debian-2025.02+debian-6.12+direct+8G+plain``; unique, and safe as a file name.

        What has its usual value is left out: one vCPU, nothing added to the command line, no action, the
        initramfs guest. Words added to the command line show as their beginning and a digest
        (``+accept_memory-eager-1b2c3d``).
        """
        parts = [self.firmware, self.kernel, self.loader, format_memory(self.memory_mib), self.platform]
        if self.vcpus != 1:
            parts.append(f"{self.vcpus}cpu")
        if self.cmdline:
            words = re.sub(r"[^A-Za-z0-9._]+", "-", self.cmdline)[:_CMDLINE_SHOWN].strip("-.")
            parts.append(f"{words}-{hashlib.sha256(self.cmdline.encode()).hexdigest()[:6]}")
        if self.action:
            parts.append(self.action.replace(":", "-").replace(" ", "."))
        if self.guest != GUESTS[0]:
            parts.append(self.guest)
        return "+".join(parts)

    def __str__(self) -> str:
        """Return the id."""
        return self.id
