# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What starts a Debian guest: an initramfs with the kernel's modules, our reporter and our actions.

It mounts the disk (``harness.artifacts.guest.debian_disk``) and adds what the harness wants of the guest: any
kernel and any loader can boot any guest.
"""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

from harness.artifacts.guest.programs import guest_program
from harness.formats import cpio
from harness.formats.cpio import CpioEntry, cpio_archive
from harness.store.file_tree import digest_file
from harness.store.inputs import digest_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.paths import Project
    from harness.store.inputs import JSONValue

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4", "msr")
_SNP_MODULES = {
    "SEV_GUEST": "sev_guest",
    "CRYPTO_CTR": "ctr",
    "CRYPTO_GCM": "gcm",
    "CRYPTO_GHASH": "ghash_generic",
}
"""By config option. Up to 6.12 the guest driver asks the kernel for gcm(aes), which modprobe would load."""
_ARCHIVE = "initramfs.cpio"


def module_names(options: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the modules that a guest needs of a kernel with this config."""
    config = options or {}
    snp = (name for option, name in _SNP_MODULES.items() if config.get(f"CONFIG_{option}") == "m")
    return (*MODULES, *snp)


def debian_initrd(base: Path, modules: Sequence[Path], project: Project, apt: AptRoot) -> Path:
    """Return the initramfs ``base`` with the modules and what starts a Debian: ``guest-images/debian``."""
    every = project.files("guest-images/debian")
    files = {name: path for name, path in every.items() if path.suffix not in {".packages", ".c"}}
    sources = (path for path in every.values() if path.suffix == ".c")
    programs = {path.stem: guest_program(path, apt) for path in sources}
    inputs: dict[str, JSONValue] = {
        "base": digest_file(base),
        "modules": {path.name: digest_file(path) for path in modules},
        "files": {name: digest_file(path) for name, path in files.items()},
        "programs": {name: digest_file(path) for name, path in programs.items()},
        "writer": digest_code(cpio, sys.modules[__name__]),
    }

    def build(directory: Path) -> None:
        regular = stat.S_IFREG | 0o755
        entries = [CpioEntry(name, stat.S_IFDIR | 0o755) for name in ("debian", "modules", "newroot")]
        entries += [CpioEntry(f"modules/{path.name}", regular, path.read_bytes()) for path in modules]
        for place, path in files.items():
            # init takes the place of the base's; actions stand beside the base's
            own = place == "init" or place.startswith("actions/")
            entries.append(CpioEntry(place if own else f"debian/{place}", regular, path.read_bytes()))
        entries += [
            CpioEntry(f"tools/{name}", regular, program.read_bytes()) for name, program in programs.items()
        ]
        # The kernel unpacks archives that follow each other as one (buffer-format.rst).
        (directory / _ARCHIVE).write_bytes(base.read_bytes() + cpio_archive(entries))

    return apt.store.get("initramfs", "debian", inputs, build, apt.progress).path / _ARCHIVE
