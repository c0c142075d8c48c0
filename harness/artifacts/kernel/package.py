# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A kernel in a distribution's package on this disk: ``file:linux-image….deb``, ``file:kernel-core….rpm``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.choice import name_of
from harness.errors import HarnessError, HostError
from harness.formats import rpm
from harness.recipes.kernel import File, KernelRecipe, KernelSource
from harness.store.file_tree import digest_file
from harness.store.inputs import digest_code

if TYPE_CHECKING:
    from harness.debian.archive import AptRoot

_KIND = "kernel-package"
_IMAGES = ("boot/vmlinuz-*", "lib/modules/*/vmlinuz", "usr/lib/modules/*/vmlinuz")
_MODULES = ("lib/modules/*", "usr/lib/modules/*")


def packaged_kernel(text: str, apt: AptRoot) -> KernelRecipe | None:
    """Return the recipe of the kernel in the package that ``text`` names; None when it names no package.

    HarnessError when the package is damaged, or holds no kernel, or several.
    """
    kind, _, written = text.partition(":")
    path = Path(written).expanduser().absolute()
    if kind != "file" or path.suffix not in {".deb", ".rpm"} or not path.is_file():
        return None
    digest = digest_file(path)

    def build(directory: Path) -> None:
        apt.progress(f"unpacking {path.name}")
        _unpack(path, directory)

    inputs = {"package": digest, "way": digest_code(rpm)}
    folder = apt.store.get(_KIND, path.stem, inputs, build, apt.progress).path
    images = [image for pattern in _IMAGES for image in sorted(folder.glob(pattern)) if image.is_file()]
    if len({image.name for image in images}) != 1:
        found = ", ".join(image.relative_to(folder).as_posix() for image in images) or "none"
        raise HarnessError(
            f"{text}: not one kernel in the package: {found}", "name the package with vmlinuz in it"
        )
    modules = next((it for pattern in _MODULES for it in sorted(folder.glob(pattern)) if it.is_dir()), None)
    source = File(path=str(images[0]), modules=str(modules) if modules is not None else None)
    return KernelRecipe(name_of("file", path.stem, digest), KernelSource(file=source))


def _unpack(path: Path, directory: Path) -> None:
    """Fill a folder with what a package holds."""
    if path.suffix == ".deb":
        _run(["dpkg-deb", "--extract", str(path), str(directory)], b"", path)
        return
    archive = rpm.payload(path.read_bytes(), str(path))
    quiet = [
        "cpio",
        "--extract",
        "--make-directories",
        "--no-absolute-filenames",
        "--quiet",
        "-D",
        str(directory),
    ]
    _run(quiet, archive, path)


def _run(argv: list[str], data: bytes, path: Path) -> None:
    try:
        done = subprocess.run(argv, input=data, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise HostError(
            f"{argv[0]} is not installed", f"apt-get install {argv[0].replace('-deb', '')}"
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise HarnessError(f"{path}: cannot be unpacked: {said[0]}", "fetch the package again")
