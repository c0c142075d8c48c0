# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What one QEMU machine is, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class SnpGuest:
    """The confidential-guest object; the defaults are those of AMD Milan and later.

    ``type`` names QEMU's object: the real one (KVM on an SEV-SNP host) or the TCG emulation. ``policy`` is
    the SNP guest policy (SEV-SNP ABI, table "Guest policy": bit 17 reserved-one, bit 16 SMT allowed).
    ``properties`` are further ``-object`` properties, such as ``("ledger", "ledger.jsonl")``; a relative path
    in them is relative to the run's folder.
    """

    type: Literal["sev-snp-guest", "sev-snp-emulated"]
    id: str = "sev0"
    cbitpos: int = 51
    reduced_phys_bits: int = 1
    policy: int = 0x30000
    kernel_hashes: bool = False
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A virtio disk. A ``raw`` one is shared and never written: every boot gets an overlay of its own."""

    path: Path
    format: Literal["qcow2", "raw"] = "raw"
    read_only: bool = False
    boot_index: int | None = None


@dataclass(frozen=True, kw_only=True)
class MachineSpec:
    """One machine. Paths are absolute, because QEMU runs in the run's folder.

    ``firmware`` goes to ``-bios``: read-only flash cannot be guest_memfd memory. ``accel`` is QEMU's word
    (``kvm``, ``tcg``, ``tcg,thread=multi``). ``guest`` is None for a plain machine. ``devices`` are values of
    ``-device``; ``extra`` is appended to the command line as it is.
    """

    qemu: Path
    firmware: Path
    memory_mib: int
    accel: str
    cpu: str = "EPYC-v4"
    vcpus: int = 1
    machine: str = "q35"
    guest: SnpGuest | None = None
    kernel: Path | None = None
    initrd: Path | None = None
    cmdline: str = ""
    drives: tuple[Drive, ...] = ()
    devices: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        paths = [self.qemu, self.firmware, self.kernel, self.initrd, *(drive.path for drive in self.drives)]
        for path in paths:
            if path is not None and not path.is_absolute():
                raise HarnessError(f"{path}: a machine needs absolute paths", "use Path.absolute()")
