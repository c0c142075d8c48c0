# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What one QEMU machine is, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path


TRACE = "trace.log"
"""File in the run's folder."""
KERNEL_TRACE = "kernel-trace.log"
"""File in the run's folder, where the host's kernel is to trace."""
CPU = "EPYC-v4"
"""The CPU model of a machine that asks for no other."""


@dataclass(frozen=True, kw_only=True)
class ConfidentialObject:
    """QEMU's object that makes a guest confidential; a platform chooses it.

    ``type`` and ``properties`` are those of ``-object``; a relative path in them is relative to the run's
    folder.
    """

    type: str
    id: str = "cgs0"
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A virtio disk. It is shared and never written: every boot gets an overlay of its own."""

    path: Path
    format: Literal["qcow2", "raw"] = "raw"
    read_only: bool = False
    boot_index: int | None = None


@dataclass(frozen=True, kw_only=True)
class MachineSpec:
    """One machine. Paths are absolute, because QEMU runs in the run's folder.

    ``firmware`` goes to ``-bios``: read-only flash cannot be guest_memfd memory. ``accel`` is QEMU's word
    (``kvm``, ``tcg``, ``tcg,thread=multi``). ``confidential`` is None for a plain machine.
    ``measured_kernel``: the firmware starts no kernel that the launch measurement does not cover, so the
    confidential object must have it measured. ``backing`` are further options of the memory backend
    (`harness.machine.backing`). ``sandbox``: this QEMU can forbid itself system calls (seccomp), and does.
    ``trace`` are trace events that QEMU writes to ``TRACE`` in the run's folder, each with the time of the
    host's clock; ``tracepoints`` are those of the host's kernel (`harness.machine.kernel_trace`), each with
    the filter of its events. ``devices`` are values of ``-device``; ``extra`` is appended to the command
    line as it is.
    """

    qemu: Path
    firmware: Path
    memory_mib: int
    accel: str
    cpu: str = CPU
    vcpus: int = 1
    machine: str = "q35"
    confidential: ConfidentialObject | None = None
    measured_kernel: bool = False
    kernel: Path | None = None
    initrd: Path | None = None
    cmdline: str = ""
    drives: tuple[Drive, ...] = ()
    devices: tuple[str, ...] = ()
    backing: tuple[tuple[str, str], ...] = ()
    sandbox: bool = False
    trace: tuple[str, ...] = ()
    tracepoints: tuple[tuple[str, str], ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def protected(self) -> bool:
        """Whether hardware keeps the guest's registers and private memory from QEMU.

        QEMU's monitor shows them as they were at the launch then (``kvm_cpu_synchronize_state()``).
        """
        return self.confidential is not None and self.accel.partition(",")[0] == "kvm"

    def __post_init__(self) -> None:
        paths = [self.qemu, self.firmware, self.kernel, self.initrd, *(drive.path for drive in self.drives)]
        for path in paths:
            if path is not None and not path.is_absolute():
                raise HarnessError(f"{path}: a machine needs absolute paths", "use Path.absolute()")
