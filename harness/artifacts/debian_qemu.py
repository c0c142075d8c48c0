# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Debian's own QEMU of a suite, in an unpacked root of that suite: its libc may be newer than the host's.

A program of the root starts QEMU by the root's own loader, with the root's libraries and modules.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.artifacts.guest.package_set import fetch_set, load_set
from harness.paths import SHIPPED_PROJECT, Project
from harness.recipes.guest import GuestRecipe
from harness.recipes.qemu import QEMU_FILE
from harness.store.build_steps import run_step

if TYPE_CHECKING:
    from pathlib import Path

    from harness.debian.archive import AptRoot

SUITES = MappingProxyType({"debian-trixie": "trixie", "debian-sid": "sid"})
"""The suite of each name on the axis ``qemu``."""
_KIND = "debian-qemu"
_PROGRAM = "qemu-system-x86_64"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_SCRIPT = f"""\
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
QEMU_MODULE_DIR=$root/{_LIBRARIES}/qemu
export QEMU_MODULE_DIR
exec "$root/{_LIBRARIES}/ld-linux-x86-64.so.2" --library-path "$root/{_LIBRARIES}" \\
    "$root/usr/bin/{_PROGRAM}" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
"""


def _silent(_said: str) -> None:
    """Say nothing of each of a hundred packages."""


def package_sets(project: Project = SHIPPED_PROJECT) -> tuple[GuestRecipe, ...]:
    """Return what each root is made of: its packages are in a lock file, as those of a Debian guest are."""
    folder = project.one(QEMU_FILE).parent
    return tuple(
        GuestRecipe(f"qemu-{name}", suite, ("qemu-system-x86",), folder=folder, where=str(folder))
        for name, suite in SUITES.items()
    )


def debian_qemu(name: str, apt: AptRoot, project: Project = SHIPPED_PROJECT) -> Path:
    """Return the program that starts Debian's QEMU; HarnessError when its packages cannot be had."""
    recipe = next(each for each in package_sets(project) if each.name == f"qemu-{name}")
    packages = load_set(recipe)

    def build(directory: Path) -> None:
        debs = fetch_set(recipe.name, packages, apt)
        root = directory / "root"
        root.mkdir()
        log = directory / "unpack.log"
        for deb in sorted(debs.glob("*.deb")):
            unpack = ["dpkg-deb", "-x", str(deb), str(root)]
            run_step(f"{recipe.name}: {deb.name}", unpack, directory, log, _silent)
        apt.progress(f"{recipe.name}: unpacked")
        log.unlink()
        (directory / _PROGRAM).write_text(_SCRIPT)
        (directory / _PROGRAM).chmod(0o755)

    inputs = {"script": _SCRIPT, **{each.package: each.sha256 for each in packages}}
    made = apt.store.get(_KIND, recipe.name, inputs, build, apt.progress, tools=("dpkg-deb",))
    return made.path / _PROGRAM
