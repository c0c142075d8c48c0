# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Does an SNP guest start here? The smallest firmware there can be tells, by asking for its own end.

KVM, the secure processor and QEMU do all that a launch needs, a CPUID page and a secrets page included; then
seven instructions run. Emulated, the same firmware does the same. Not yet seen on hardware.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from harness.machine.spec import CPU, MachineSpec
from harness.platforms.leaf import failed, passed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.platforms.leaf import Leaf

_SECONDS = 30.0
_SIZE = 64 * 1024
_METADATA_AT = 0x8000
_SECRETS, _CPUID = (0x1_0000, 0x1000, 2), (0x1_1000, 0x1000, 3)
"""Address, size and kind of the pages that QEMU and the secure processor fill."""
_AP_START = 0x1_2004
"""Where another vCPU would start: there is none."""
REASON_SET, REASON = 0xA, 0xCC
"""By what the guest asks for its end (GHCB specification, 2.3.1); nobody else's numbers."""
_GHCB_MSR = 0xC0010130
_TERMINATE = 0x100 | REASON_SET << 12 | REASON << 16
_MARKER = re.compile(rf"KVM: unknown exit reason 24\b|requested termination: {REASON_SET:#x}:{REASON:#x}\b")
"""KVM tells a request of the guest for its end as exit reason 24, at which QEMU 10 stops; the emulation says
it in words."""
_IGNORED = re.compile(r": warning: |^rom: |^\w{2,5} ?=")


@dataclass(frozen=True)
class Output:
    """What a QEMU said until the marker, its end or the deadline; ``code`` None: the harness ended it."""

    lines: tuple[str, ...]
    code: int | None


def image() -> bytes:
    """Return 64 KiB of firmware: OVMF's table of metadata, and code that asks for its end."""
    code = b"\x66\xb9" + struct.pack("<I", _GHCB_MSR)  # mov ecx, MSR
    code += b"\x66\xb8" + struct.pack("<I", _TERMINATE)  # mov eax, request
    code += bytes.fromhex("6631d2 0f30 f30f01d9 f4 ebfd")  # xor edx, edx; wrmsr; vmgexit; hlt; jmp hlt
    made = bytearray(b"\xf4" * _SIZE)
    start = _SIZE - 0x400
    made[start : start + len(code)] = code
    made[-16:-13] = b"\xe9" + struct.pack("<H", (start - (_SIZE - 13)) & 0xFFFF)  # jmp start
    sections = (_SECRETS, _CPUID)
    metadata = struct.pack("<4sIII", b"ASEV", 16 + 12 * len(sections), 1, len(sections))
    metadata += b"".join(struct.pack("<III", *section) for section in sections)
    made[_METADATA_AT : _METADATA_AT + len(metadata)] = metadata
    table = b""
    for name, data in (
        ("dc886566-984a-4798-a75e-5585a7bf67cc", struct.pack("<I", _SIZE - _METADATA_AT)),
        ("00f771de-1a7e-4fcb-890e-68c77e2fb44e", struct.pack("<I", _AP_START)),
    ):
        table += data + struct.pack("<H", len(data) + 18) + UUID(name).bytes_le
    table += struct.pack("<H", len(table) + 18) + UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
    made[-0x20 - len(table) : -0x20] = table
    return bytes(made)


def spec(qemu: Path) -> MachineSpec:
    """Return the machine of the launch, for a platform to configure; ``launch`` names the firmware."""
    return MachineSpec(qemu=qemu, firmware=Path("/launch.fd"), memory_mib=16, accel="tcg", cpu=CPU)


def launch(command: Callable[[Path], Sequence[str]]) -> Output:
    """Run QEMU with the firmware, whose path ``command`` gets, until the marker; seconds, 30 at most."""
    with tempfile.TemporaryDirectory(prefix="launch-") as folder:
        firmware = Path(folder, "launch.fd")
        firmware.write_bytes(image())
        with subprocess.Popen(
            command(firmware),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            deadline = threading.Timer(_SECONDS, process.kill)
            deadline.start()
            try:
                lines = []
                for line in process.stderr or ():
                    lines.append(line.rstrip("\n"))
                    if _MARKER.search(line):
                        return Output(tuple(lines), None)
                return Output(tuple(lines), process.wait())
            finally:
                deadline.cancel()
                process.kill()


def leaf(output: Output, name: str, mend_of: Callable[[str], str]) -> Leaf:
    """Return what a launch's output says; ``mend_of`` a line of QEMU says what mends it, "" when unknown."""
    if any(_MARKER.search(line) for line in output.lines):
        return passed(name, "an SNP guest started and asked for its end")
    said = [line for line in output.lines if line and not _IGNORED.search(line)]
    for line in said:
        if mend := mend_of(line):
            return failed(name, line, mend)
    mend = "look at the host's kernel log (dmesg), and for QEMU's line on the web"
    if said:
        return failed(name, said[-1], mend)
    if output.code is not None and output.code < 0:
        return failed(name, f"the guest did nothing in {_SECONDS:g} s", mend)
    return failed(name, f"QEMU ended with code {output.code} and said nothing", mend)
