# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The disk of a Debian guest: made by mmdebstrap, without root, byte for byte the same each time.

It depends on its packages alone: what the harness wants of the guest comes with the initramfs
(``harness.artifacts.guest.debian_initramfs``). So a change of ours, or another kernel, never means a new
disk.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.guest import ext4
from harness.artifacts.guest.package_set import fetch_set, load_set
from harness.formats import fat32, gpt
from harness.store.build_steps import run_step
from harness.store.file_tree import digest_file
from harness.store.inputs import digest_code

if TYPE_CHECKING:
    from harness.debian.archive import AptRoot
    from harness.paths import Project
    from harness.recipes.guest import GuestRecipe
    from harness.store.inputs import JSONValue

DISK = "disk.img"
TOOLS = ("mmdebstrap", "dpkg-scanpackages", "mke2fs", "tar")
EPOCH = 1735689600
"""2025-01-01: the latest time that the disk shows."""
_ESP_SECTORS = 40 << 11
_LABEL, _SERIAL = "ESP", 0x5AC1AB1F
_INDEX = """
dpkg-scanpackages -m . > Packages
set -- "$0" $(sha256sum Packages) $(stat -c %s Packages)
printf 'Suite: %s\\nCodename: %s\\nSHA256:\\n %s %s Packages\\n' "$1" "$1" "$2" "$4" > Release
"""
"""Makes a folder of packages the suite $0: mmdebstrap looks for the essential ones by the suite's name."""


def debian_disk(recipe: GuestRecipe, project: Project, apt: AptRoot) -> Path:
    """Return the guest's raw disk, GPT with ESP and ext4 root; shared, so every boot needs an overlay."""
    packages = load_set(recipe)
    customize = project.one("guest-images/debian/customize")
    inputs: dict[str, JSONValue] = {
        "packages": {package.package: f"{package.version} {package.sha256}" for package in packages},
        "include": list(recipe.packages),
        "customize": digest_file(customize),
        "writers": digest_code(ext4, fat32, gpt, sys.modules[__name__]),
    }

    def build(directory: Path) -> None:
        debs = fetch_set(recipe.name, packages, apt)
        log = apt.store.root.parent / "logs" / f"{recipe.name}.log"
        # mmdebstrap's own user reads here, who may not enter this user's cache.
        with tempfile.TemporaryDirectory(prefix="debian-guest-") as name:
            work = Path(name)
            work.chmod(0o755)
            archive = _bootstrap(recipe, debs, customize, work, log, apt)
            root = work / "root.ext4"
            ext4.write_ext4(root, archive, recipe.name, EPOCH, work, log, apt.progress)
            write_disk(directory / DISK, root)

    return apt.store.get("guest-disk", recipe.name, inputs, build, apt.progress, tools=TOOLS).path / DISK


def _bootstrap(recipe: GuestRecipe, debs: Path, customize: Path, work: Path, log: Path, apt: AptRoot) -> Path:
    """Install the packages into a tar archive; another user than root needs user namespaces."""
    shutil.copytree(debs, work / "debs", ignore=shutil.ignore_patterns("provenance.json"))
    for path in (work / "debs").iterdir():
        path.chmod(0o644)
    shutil.copyfile(customize, work / "customize")
    (work / "customize").chmod(0o755)
    what = f"{recipe.name}: indexing its packages"
    run_step(what, ["sh", "-ec", _INDEX, recipe.suite], work / "debs", log, apt.progress)
    archive = work / "root.tar"
    command = [
        *("mmdebstrap", "--mode=auto", "--variant=essential", "--architectures=amd64", "--format=tar"),
        f"--include={','.join(recipe.packages)}",
        *("--aptopt=APT::Install-Recommends false", "--skip=check/signed-by"),
        f"--customize-hook={work / 'customize'}",
        *(recipe.suite, str(archive), f"deb [trusted=yes] copy:{work / 'debs'} ./"),
    ]
    times = {"SOURCE_DATE_EPOCH": str(EPOCH)}
    run_step(f"{recipe.name}: installing it with mmdebstrap", command, work, log, apt.progress, times)
    return archive


def write_disk(path: Path, root: Path) -> None:
    """Write a disk with an ESP that holds no loader and a root partition; what holds nothing stays a hole."""
    root_sectors = root.stat().st_size // gpt.SECTOR
    sectors = gpt.FIRST + _ESP_SECTORS + root_sectors + gpt.BEHIND
    with path.open("wb") as image:
        image.truncate(sectors * gpt.SECTOR)
        esp = gpt.write_gpt(image, sectors, root_sectors)
        fat32.write_fat32(image, gpt.FIRST * gpt.SECTOR, esp, {}, label=_LABEL, serial=_SERIAL)
        _copy_data(root, image.fileno(), gpt.root_first(sectors, root_sectors) * gpt.SECTOR)


def _copy_data(source: Path, target: int, to: int) -> None:
    """Copy what is not a hole of a file to the offset ``to`` of another."""
    with source.open("rb") as file:
        descriptor, end = file.fileno(), source.stat().st_size
        start = 0
        while start < end:
            try:
                data = os.lseek(descriptor, start, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                return
            start = os.lseek(descriptor, data, os.SEEK_HOLE)
            while data < start:
                piece = os.pread(descriptor, min(start - data, 1 << 20), data)
                if piece.strip(b"\0"):
                    os.pwrite(target, piece, to + data)
                data += len(piece)
