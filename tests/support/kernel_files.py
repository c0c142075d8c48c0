# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Files of a kernel that no compiler made."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

from harness.artifacts.kernel.files import BZIMAGE

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "6.12.1-test"
CONFIG = """#
# Linux/x86 6.12.1 Kernel Configuration
#
CONFIG_AMD_MEM_ENCRYPT=y
# CONFIG_NUMA is not set
CONFIG_UNACCEPTED_MEMORY=y
CONFIG_EFI_STUB=y
CONFIG_SEV_GUEST=m
CONFIG_X86_PAT=y
CONFIG_PRINTK=y
CONFIG_SERIAL_8250_CONSOLE=y
CONFIG_BLK_DEV_INITRD=y
CONFIG_BINFMT_ELF=y
CONFIG_BINFMT_SCRIPT=y
CONFIG_PROC_FS=y
CONFIG_SYSFS=y
CONFIG_DEVTMPFS=y
"""


def bzimage(*, protocol: int = 0x20F, flags: int = 0x7F, pe: bool = True) -> bytes:
    image = bytearray(0x1000)
    if pe:
        image[:2] = b"MZ"
        struct.pack_into("<I", image, 0x3C, 0x800)
        image[0x800:0x804] = b"PE\0\0"
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, protocol)
    struct.pack_into("<H", image, 0x20E, 0x700)
    struct.pack_into("<H", image, 0x236, flags)
    text = b"6.12.1-test (someone@example.org) #1 SMP\0"
    image[0x900 : 0x900 + len(text)] = text
    return bytes(image)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


def make_tree(root: Path, release: str = RELEASE) -> Path:
    for name, data in {
        BZIMAGE: bzimage(),
        ".config": CONFIG.encode(),
        "include/config/kernel.release": f"{release}\n".encode(),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root
