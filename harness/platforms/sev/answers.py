# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What only a live host can answer: its processor, its devices, KVM. Questions change nothing.

A survey takes the answers as a value, so that tests give recorded ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.platforms.sev import cpuid, firmware

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from harness.platforms.sev.cpuid import Encryption
    from harness.platforms.sev.firmware import SevFirmware

_KVM_CHECK_EXTENSION = 0xAE03
_CAPABILITIES = {"KVM_CAP_GUEST_MEMFD": 234, "KVM_CAP_VM_TYPES": 235}  # uapi/linux/kvm.h
_KVM_AMD = "sys/module/kvm_amd/parameters"
_PARAMETER = re.compile(r"^(?:sev|sev_es|sev_snp|debug_swap|ciphertext_hiding_asids)$")
_LOG_LINES = re.compile(r"SEV|kvm_amd")
SNP_VM = 4
"""KVM_X86_SNP_VM, a bit of KVM_CAP_VM_TYPES."""


@dataclass(frozen=True)
class Answers:
    """A host's answers; what nobody could ask is None or absent.

    ``refused``: devices that this user cannot open for reading and writing, with the reason. ``firmware``:
    SEV's, ``firmware_trouble`` says why it gave no answer. ``kvm``: KVM's capabilities by name. ``log``: what
    the kernel's log still has about SEV, empty where nobody may read it.
    """

    encryption: Encryption | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    firmware: SevFirmware | None = None
    firmware_trouble: str = ""
    kvm: Mapping[str, int] = field(default_factory=dict)
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asids:
    """How many SEV-ES and SNP guests can run at once, and how many do; None where nobody says."""

    all: int
    taken: int | None = None


NOTHING = Answers()


def ask(root: Path) -> Answers:
    """Ask the host whose tree is at ``root``; the processor is the one that runs this."""
    refused: dict[str, str] = {}
    found, trouble = None, ""
    capabilities: dict[str, int] = {}
    with _opened(root, "kvm", refused) as device:
        if device is not None:
            with contextlib.suppress(OSError):  # a file of this name that is no KVM
                for name, number in _CAPABILITIES.items():
                    capabilities[name] = fcntl.ioctl(device, _KVM_CHECK_EXTENSION, number)
    with _opened(root, "sev", refused) as device:
        if device is not None:
            found, trouble = _firmware(device)
    return Answers(cpuid.encryption(), refused, found, trouble, capabilities, _log(root))


def _firmware(device: int) -> tuple[SevFirmware | None, str]:
    trouble = ""
    for snp in (True, False):  # an old kernel knows only SEV's request
        try:
            return firmware.ask(device, snp=snp), ""
        except OSError as error:
            trouble = trouble or error.strerror or str(error)
    return None, trouble


@contextlib.contextmanager
def _opened(root: Path, name: str, refused: dict[str, str]) -> Iterator[int | None]:
    """Yield the open device below ``/dev``; None when it is not there, or refused."""
    path = root / "dev" / name
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        refused[name] = error.strerror or str(error)
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _log(root: Path) -> tuple[str, ...]:
    """Return the lines about SEV in the kernel's log; /dev/kmsg gives one a read, and waits at its end."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        descriptor = os.open(root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while data := _read(descriptor):
                said = (line.partition(";")[2] or line for line in data.decode(errors="replace").splitlines())
                lines += [line for line in said if _LOG_LINES.search(line)]
        finally:
            os.close(descriptor)
    return tuple(lines)


def _read(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, 8192)
        except BlockingIOError:
            return b""
        except BrokenPipeError:  # the oldest lines were overwritten meanwhile
            continue


def asids(root: Path) -> Asids | None:
    """Return what the cgroup controller ``misc`` counts of SEV-ES and SNP guests; None where it does not."""
    group = root / "sys/fs/cgroup"
    capacity = _counted(group / "misc.capacity")
    if capacity is None:
        return None
    taken = _counted(group / "misc.current")
    if taken is None:  # kernels before 6.11 count below the root alone
        below = [_counted(path) for path in group.glob("*/misc.current")]
        taken = sum(each or 0 for each in below) if below else None
    return Asids(capacity, taken)


def sev_facts(root: Path, family: str, answers: Answers) -> dict[str, str]:
    """Return what a result depends on: kvm_amd's parameters, the SEV firmware's version, the reported TCB.

    ``family``: the processor's, as /proc/cpuinfo has it, which says how the TCB is laid out. Empty where
    there is no such hardware.
    """
    found = {}
    for path in sorted((root / _KVM_AMD).glob("*")):
        if _PARAMETER.match(path.name):
            with contextlib.suppress(OSError):
                found[f"kvm_amd.{path.name}"] = path.read_text().strip()
    for path in sorted((root / "sys/bus/pci/drivers/ccp").glob("*/*_version")):
        with contextlib.suppress(OSError):
            found[f"ccp.{path.name}"] = path.read_text().strip()
    if (told := answers.firmware) is not None:
        found["firmware"] = str(told)
        if told.rmp is not None:
            parts = firmware.tcb_parts(told.tcb, int(family) if family.isdecimal() else 0)
            found["tcb"] = " ".join(f"{name}={value}" for name, value in parts.items())
    return found


def _counted(path: Path) -> int | None:
    with contextlib.suppress(OSError):
        if found := re.search(r"^sev_es (\d+)$", path.read_text(), re.MULTILINE):
            return int(found[1])
    return None
