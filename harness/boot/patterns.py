# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Console lines that mean death, whatever is being waited for, and lines worth a remark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.record import EndingKind

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Pattern:
    """``kind`` is how the boot has ended when a line matches; None: suspicious, but the guest may live on."""

    name: str
    regex: re.Pattern[str]
    meaning: str
    kind: EndingKind | None


def _death(name: str, regex: str, meaning: str, kind: EndingKind = EndingKind.GUEST_PANIC) -> Pattern:
    return Pattern(name, re.compile(regex), meaning, kind)


def _remark(name: str, regex: str, meaning: str) -> Pattern:
    return Pattern(name, re.compile(regex), meaning, None)


PATTERNS = (
    # A crash on purpose hands over to the crash kernel; without one the message gets an end.
    _death(
        "kernel-panic",
        r"Kernel panic - not syncing(?!: sysrq triggered crash)|---\[ end Kernel panic",
        "the kernel stopped itself",
    ),
    _death(
        "early-vc-exit",
        r"PANIC: Unsupported exit-code 0x[0-9a-f]+ in early #VC exception",
        "a #VC the early kernel cannot handle; exit code 0x404 is an access to an unvalidated page",
    ),
    _death("early-exception", r"PANIC: early exception", "an exception before the kernel's handlers were up"),
    _death(
        "stub-exit-boot",
        r"exit_boot\(\) failed!",
        "the EFI stub could not leave boot services, not even with its one retry",
    ),
    _death(
        "stub-initrd",
        r"EFI stub: ERROR: Failed to load initrd: 0x",
        "the EFI stub got no initramfs; 0x8000000000000009 is EFI_OUT_OF_RESOURCES",
    ),
    _death(
        "stub-failed", r"efi_(?:main|stub_entry)\(\) failed!", "the EFI stub gave up and returned to firmware"
    ),
    _death(
        "efi-probe-exception", r"^efi-probe: exception \d", "an exception that the EFI probe did not expect"
    ),
    _death("decompressor-halt", r"-- System halted", "the kernel's decompressor stopped"),
    _death(
        "firmware-assert",
        r"ASSERT_EFI_ERROR|\bASSERT (?:\[|\S+\(\d+\): )",
        "an edk2 assertion failed",
        EndingKind.FIRMWARE_ASSERT,
    ),
    _death(
        "firmware-exception",
        r"!!!! (?:X64|IA32) Exception Type - ",
        "a CPU exception reached the firmware's handler",
        EndingKind.FIRMWARE_ASSERT,
    ),
    _death(
        "firmware-validate",
        r"Failed to Validate address 0x[0-9A-Fa-f]+ Error code",
        "PVALIDATE failed in firmware, which then ends the guest",
        EndingKind.TERMINATED,
    ),
    _remark(
        "soft-lockup", r"watchdog: BUG: soft lockup", "a CPU was busy for long: slow acceptance or a livelock"
    ),
    _remark("kernel-bug", r"\bkernel BUG at |BUG: unable to handle", "a kernel bug that may not stop it"),
    _remark("kernel-warning", r"WARNING: CPU: \d+ PID: \d+ at ", "a kernel warning"),
    _remark(
        "page-state-change",
        r"SEV-SNP: PSC|PSC processing going backward|sev_es_terminate|GHCB_TERM",
        "the kernel's page state change went wrong; termination usually follows",
    ),
    _remark(
        "accept-failed",
        r"Cannot accept memory: unknown platform|Failed to accept memory|Memory acceptance protocol failed",
        "memory was not accepted",
    ),
    _remark(
        "unaccepted-table", r"Unknown version of unaccepted memory table", "the kernel ignores the table"
    ),
    _remark("unhandled-vc", r"[Uu]nhandled #VC", "a #VC without a handler"),
    _remark("e820-image", r"\.text \.data \.bss are not marked as E820_TYPE_RAM", "a broken memory map"),
    _remark(
        "firmware-unknown-type", r"Invalid EFI memory descriptor type \(0xF\)", "a loader dropped memory"
    ),
)

LOOP = Pattern(
    "endless-loop", re.compile(r"(?!)"), "the same line over and over: an endless loop", EndingKind.HANG
)
"""Not told by what a line says, but by how often it comes."""

_ANY = re.compile("|".join(f"(?:{pattern.regex.pattern})" for pattern in PATTERNS))
_PRINTK = re.compile(r"^\[ *\d+\.\d+\] ")

FAULT_EVENT = "SEV_SNP_EMULATED_FAULT"
"""QMP event of the emulation: memory was used in a way that SEV-SNP refuses."""

TERMINATION_EVENT = re.compile(r"SEV.*TERM|SNP.*TERM")
"""Names of QMP events by which a QEMU reports that a guest asked for its termination."""

TERMINATION_LOG = re.compile(
    r"unknown exit reason 24\b|requested termination|SNP guest stopped|SNP.*terminat", re.IGNORECASE
)
"""What QEMU's own output says then. KVM reports such a request as exit reason 24 (KVM_EXIT_SYSTEM_EVENT, type
SEV_TERM), which QEMU 10.0 does not know and stops at."""


def matches(line: str, *, in_document: bool) -> Iterator[Pattern]:
    """Yield the patterns that match one console line.

    The guest's document may quote older messages, so inside it only a line that begins with the message (or
    with the kernel's time stamp and the message) counts.
    """
    if _ANY.search(line) is None:
        return
    for pattern in PATTERNS:
        found = pattern.regex.match(_PRINTK.sub("", line)) if in_document else pattern.regex.search(line)
        if found:
            yield pattern
