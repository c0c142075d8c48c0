# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The initramfs guest: fetched, compiled and packed when it is new."""

from __future__ import annotations

import shutil
import stat
from typing import TYPE_CHECKING

from harness.artifacts.guest import initramfs_files
from harness.artifacts.guest.initramfs_files import build_initramfs
from harness.artifacts.guest.programs import guest_program
from harness.debian.index import PackageQuery
from harness.formats import cpio
from harness.formats.cpio import CpioEntry, cpio_archive
from harness.store.file_tree import digest_file, only
from harness.store.inputs import digest_code

if TYPE_CHECKING:
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.paths import Project
    from harness.store.inputs import JSONValue

CMDLINE = "console=ttyS0 earlyprintk=serial efi=debug"
"""``efi=debug`` prints the memory map that the firmware handed over; without ``earlyprintk`` a kernel that
dies early dies silently."""

NEEDS = (
    *("CONFIG_PRINTK", "CONFIG_SERIAL_8250_CONSOLE", "CONFIG_BLK_DEV_INITRD"),
    *("CONFIG_BINFMT_ELF", "CONFIG_BINFMT_SCRIPT", "CONFIG_PROC_FS", "CONFIG_SYSFS", "CONFIG_DEVTMPFS"),
)
"""What a kernel must have built in to start the scripts of a guest, and to be heard: without it a boot is
silent and hangs."""

BUSYBOX = PackageQuery("busybox-static", "trixie")
BUSYBOX_PATH = "usr/bin/busybox"
ACTIONS = "guest-images/initramfs/actions"
LARGE = "initramfs-large"
"""The guest whose initramfs the firmware and the EFI stub cannot both hold below 4 GiB."""
_PART = 64 << 20
_PARTS = 17
_ARCHIVE = "initramfs.cpio"


def initramfs(project: Project, apt: AptRoot, lock: Lock) -> Path:
    """Return the archive: busybox, the scripts of ``initramfs/``, the programs of ``initramfs-tools/``."""
    package = lock.require(BUSYBOX)
    overlay = project.files("guest-images/initramfs")
    sources = project.files("guest-images/initramfs-tools").values()
    programs = {source.stem: guest_program(source, apt) for source in sources}
    inputs: dict[str, JSONValue] = {
        "busybox": f"{package.version} {package.sha256}",
        "overlay": {name: digest_file(path) for name, path in overlay.items()},
        "tools": {name: digest_file(path) for name, path in programs.items()},
        "writer": digest_code(cpio, initramfs_files),
    }

    def build(directory: Path) -> None:
        work = directory / "overlay"
        for name, path in overlay.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, work / name)
        (work / "tools").mkdir()
        for name, program in programs.items():
            shutil.copyfile(program, work / "tools" / name)
        busybox = only(apt.extract(package, [BUSYBOX_PATH]).path, BUSYBOX_PATH)
        build_initramfs(busybox, work, directory / _ARCHIVE)
        shutil.rmtree(work)

    return apt.store.get("initramfs", "guest", inputs, build, apt.progress).path / _ARCHIVE


def initramfs_with_kernel(base: Path, kernel: Path, apt: AptRoot) -> Path:
    """Return ``base`` with a kernel and ``base`` itself below /boot, for guests that boot a second kernel."""
    inputs: dict[str, JSONValue] = {
        "base": digest_file(base),
        "kernel": digest_file(kernel),
        "writer": digest_code(cpio, initramfs_files),
    }

    def build(directory: Path) -> None:
        archive = base.read_bytes()
        boot = [
            CpioEntry("boot", stat.S_IFDIR | 0o755),
            CpioEntry("boot/vmlinuz", stat.S_IFREG | 0o644, kernel.read_bytes()),
            CpioEntry("boot/initrd", stat.S_IFREG | 0o644, archive),
        ]
        # The kernel unpacks archives that follow each other as one (buffer-format.rst).
        (directory / _ARCHIVE).write_bytes(archive + cpio_archive(boot))

    store = apt.store
    return store.get("initramfs", "guest-and-kernel", inputs, build, apt.progress).path / _ARCHIVE


def initramfs_large(base: Path, apt: AptRoot) -> Path:
    """Return ``base`` and more than a GiB behind it: twice that is more than all RAM below 4 GiB."""
    inputs: dict[str, JSONValue] = {
        "base": digest_file(base),
        "parts": _PARTS,
        "part": _PART,
        "writer": digest_code(cpio, initramfs_files),
    }

    def build(directory: Path) -> None:
        zeros = cpio_archive([CpioEntry("zeros", stat.S_IFREG | 0o644, bytes(_PART))])
        with (directory / _ARCHIVE).open("wb") as file:
            file.write(base.read_bytes())
            for _ in range(_PARTS):  # each takes the place of the one before it, and of its memory
                file.write(zeros)

    return apt.store.get("initramfs", LARGE, inputs, build, apt.progress).path / _ARCHIVE
