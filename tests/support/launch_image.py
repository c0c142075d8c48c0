# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A machine whose launch is measured, and an image with what the launch has to find in firmware."""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

from harness.machine.spec import ConfidentialObject, MachineSpec

HASHES = 0x10
SPEC = MachineSpec(
    qemu=Path("/q"),
    firmware=Path("/f"),
    memory_mib=2048,
    accel="tcg",
    cpu="EPYC-Milan,phys-bits=42",
    vcpus=3,
    confidential=ConfidentialObject(type="made-up"),
    measured_kernel=True,
    kernel=Path("/k"),
    initrd=Path("/i"),
    cmdline="quiet",
)


def image(folder: Path, kinds: tuple[int, ...] = (1, 2, 3, HASHES)) -> Path:
    """Write 64 KiB that end as OVMF does: metadata, reset block, hash table, the table that names them."""
    made = bytearray(b"firmware" * (0x10000 // 8))
    metadata = struct.pack("<4sIII", b"ASEV", 16 + 12 * len(kinds), 1, len(kinds))
    for number, kind in enumerate(kinds):
        metadata += struct.pack("<III", 0x80_0000 + number * 0x1000, 0x1000, kind)
    made[0x8000 : 0x8000 + len(metadata)] = metadata
    table = b""
    for name, data in (
        ("dc886566-984a-4798-a75e-5585a7bf67cc", struct.pack("<I", len(made) - 0x8000)),
        ("00f771de-1a7e-4fcb-890e-68c77e2fb44e", struct.pack("<I", 0x80_B004)),
        ("7255371f-3a3b-4b04-927b-1da6efa8d454", struct.pack("<II", 0x80_3C00, 0x400)),
    ):
        table += data + struct.pack("<H", len(data) + 18) + UUID(name).bytes_le
    table += struct.pack("<H", len(table) + 18) + UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
    made[-0x20 - len(table) : -0x20] = table
    path = folder / "OVMF.fd"
    path.write_bytes(made)
    return path
