# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Does KVM run code here? A 64 KiB firmware of a few instructions tells."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

_SECONDS = 20
_EXIT_PORT = 0xF4
_VALUE = 0x11
_EXIT_CODE = _VALUE << 1 | 1
"""isa-debug-exit ends QEMU with (value << 1) | 1."""


def image() -> bytes:
    """Return a firmware image whose reset vector writes ``_VALUE`` to the isa-debug-exit port and halts."""
    size = 64 * 1024
    code = bytes([0xB0, _VALUE, 0xE6, _EXIT_PORT, 0xF4])  # mov al, VALUE; out PORT, al; hlt
    return b"\xf4" * (size - 16) + code.ljust(16, b"\xf4")


def trouble(qemu: Path) -> str:
    """Run the firmware under KVM; return "" when its code ran, else why not. It takes seconds, 20 at most."""
    with tempfile.TemporaryDirectory(prefix="kvm-") as folder:
        firmware = Path(folder, "question.fd")
        firmware.write_bytes(image())
        command = [
            *(str(qemu), "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none"),
            *("-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "16M", "-no-reboot"),
            *("-bios", str(firmware)),
            *("-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=0x04"),
        ]
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"nothing happened in {_SECONDS} s"
        except OSError as error:
            return f"{qemu}: {error.strerror}"
    if result.returncode == _EXIT_CODE:
        return ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("rom: ")]
    return lines[0] if lines else f"QEMU ended with code {result.returncode}"
