# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What lies in the small initramfs of ours: static busybox, /init, the reporter; the same bytes each time.

The archive is not compressed: 2 MB arrive by DMA in no time, and a gzipped one was no faster to boot under
emulation.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from harness.errors import HarnessError
from harness.formats.cpio import CpioEntry, cpio_archive

APPLETS = ("sh", "awk", "cat", "dmesg", "mount", "poweroff", "stty")
"""Names under /bin that lead to busybox; the scripts call busybox itself, these are for a person."""

DIRECTORIES = ("bin", "dev", "proc", "sys", "tmp")
_ELF = b"\x7fELF"


def _overlay_entries(overlay: Path) -> list[CpioEntry]:
    """Every file below ``overlay``, in name order. Modes are set here: a checkout's umask must not matter."""
    entries = []
    for path in sorted(overlay.rglob("*")):
        name = path.relative_to(overlay).as_posix()
        if path.is_symlink():
            entries.append(CpioEntry(name, stat.S_IFLNK | 0o777, os.fsencode(path.readlink())))
        elif path.is_dir():
            entries.append(CpioEntry(name, stat.S_IFDIR | 0o755))
        else:
            entries.append(CpioEntry(name, stat.S_IFREG | 0o755, path.read_bytes()))
    return entries


def initramfs_entries(busybox: bytes, overlay: Path) -> list[CpioEntry]:
    """Return the content: directories, /dev/console, busybox, overlay.

    The kernel opens /dev/console for /init before anything can mount devtmpfs, so the node is in the archive.
    """
    entries = [CpioEntry(name, stat.S_IFDIR | 0o755) for name in DIRECTORIES]
    entries.append(CpioEntry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    entries.append(CpioEntry("bin/busybox", stat.S_IFREG | 0o755, busybox))
    entries += [CpioEntry(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox") for applet in APPLETS]
    ours = {entry.name for entry in entries}
    return entries + [entry for entry in _overlay_entries(overlay) if entry.name not in ours]


def build_initramfs(busybox: Path, overlay: Path, out: Path) -> None:
    """Write the initramfs to ``out``, atomically.

    ``busybox`` is the static binary, ``overlay`` the folder whose content goes on top; it must
    hold ``init``.
    """
    program = busybox.read_bytes()
    if not program.startswith(_ELF):
        raise HarnessError(f"{busybox} is not an ELF program", "busybox-static's bin/busybox is needed")
    if not (overlay / "init").is_file():
        raise HarnessError(
            f"{overlay} has no file 'init'", "the overlay must bring the program the kernel starts"
        )
    archive = cpio_archive(initramfs_entries(program, overlay))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        part = Path(folder, out.name)
        part.write_bytes(archive)
        part.replace(out)
