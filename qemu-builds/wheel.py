# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Make the package ``ovmf-acceptance-qemu``: what the harness compiles, for machines without a compiler.

    tox -e qemu-wheel

Writes two files to dist/: a wheel with the patched QEMU, the programs of guests and the EFI probe, built here
and keyed by their sources, with the libraries that they need; and the exact source of
that QEMU, which its licence wants to travel with it: the archive's own goes when Debian moves on.

QEMU is compiled twice for it: many use this one, so the second time goes by what boots between have counted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts import probe, qemu
from harness.artifacts.guest import programs
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import Named
from harness.artifacts.qemu_native import SETTING
from harness.artifacts.qemu_trained import Training
from harness.artifacts.wanted import have
from harness.boot.cell_machine import machine_spec
from harness.debian.source import source
from harness.errors import HarnessError
from harness.machine.argv import ByHand, argv
from harness.matrix.cell import Cell, parse_memory
from harness.matrix.choices import GUESTS
from harness.paths import SHIPPED
from harness.platforms.host import Host
from harness.recipes.probe import ProbeRecipe
from harness.recipes.qemu import load_qemu
from harness.store.carried import CARRIED_KEY, DISTRIBUTION, PACKAGE, PROVENANCE, carried_key
from harness.store.file_tree import digest_tree
from harness.store.moving import Recording
from harness.version import harness_version

if TYPE_CHECKING:
    from harness.store.entries import Artifact

MADE_WITH = {qemu.KIND: qemu.MADE_WITH, programs.KIND: programs.MADE_WITH, probe.KIND: probe.MADE_WITH}
"""By kind of what we compile: the inputs that are tools."""
TRAINED_BY = tuple(
    Cell("debian-2025.02", kernel, "direct", parse_memory("8G"), "snp-emulated")
    for kernel in ("efi-probe-lazy", "debian-6.12")
)
"""The two usual boots: firmware alone, and a kernel that accepts memory itself."""
MOST_SECONDS = 1800
"""A QEMU that counts is twice as slow, and the machine may be busy; a guest that hangs is an error."""
GLIBC = ("libc.", "libm.", "libpthread.", "libdl.", "librt.", "libresolv.")
"""The part of its libraries that every host has, in a version that auditwheel's tag names."""
_METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: {version}
Summary: The patched QEMU and the guests' programs of ovmf-acceptance, built
License-Expression: GPL-2.0-or-later AND BSD-2-Clause-Patent AND LGPL-2.1-or-later AND LGPL-2.1-only
Requires-Python: >=3.11

QEMU with SEV-SNP emulation, for ovmf-acceptance on machines without a compiler.
Its source is in the archive {source} beside this wheel: Debian's source package, our patches and files.
"""
_WHEEL = "Wheel-Version: 1.0\nGenerator: ovmf-acceptance\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n"


def boot(cell: Cell, qemu_path: Path) -> None:
    """Boot a cell with a QEMU until that ends by itself; HarnessError where it fails, or never ends."""
    ingredients = Ingredients()
    ingredients.choose_qemu(str(qemu_path))
    command = argv(machine_spec(cell, ingredients, Host()), ByHand())
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=MOST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HarnessError(f"{cell.id} does not end", "harness boot says how far it gets") from None
    if done.returncode:
        last = done.stdout.decode(errors="replace").splitlines()[-1:]
        raise HarnessError(f"{cell.id}: QEMU ended with {done.returncode}: {''.join(last)}")


def boot_all(qemu_path: Path) -> None:
    """Boot what QEMU is trained by."""
    for cell in TRAINED_BY:
        boot(cell, qemu_path)


TRAINING = Training(" and ".join(cell.id for cell in TRAINED_BY), boot_all)


def made(ingredients: Ingredients, trained_by: Training | None) -> list[Artifact]:
    """Build what we compile, and return it."""
    kernels = ingredients.catalog.kernels
    a_probe = next(name for name, it in kernels.items() if isinstance(it, ProbeRecipe))
    store = Recording(ingredients.apt.store.root)
    for each in (ingredients, Ingredients(ingredients.project, store=store)):
        recipe = load_qemu(each.project)
        qemu.build_qemu(recipe, each.apt, each.base_lock, each.project, training=trained_by)
        for it in (Named("guest", GUESTS[0]), Named("kernel", a_probe)):
            have(it, each)
        for path in each.project.files("guest-images/debian").values():
            if path.suffix == ".c":
                programs.guest_program(path, each.apt)
    return [it for it in store.given.values() if it.kind in MADE_WITH]


def stage(artifacts: list[Artifact], folder: Path, version: str, source_name: str) -> None:
    """Fill a folder with what a wheel holds."""
    package, info = folder / PACKAGE, folder / f"{PACKAGE}-{version}.dist-info"
    for it in artifacts:
        place = package / it.kind / it.name
        shutil.copytree(it.path, place, symlinks=True, copy_function=shutil.copy2)
        for path in (path for path in place.rglob("*") if path.is_file()):
            path.chmod(path.stat().st_mode | 0o200)
        if it.kind == qemu.KIND:
            bundle(place / qemu.BINARY, place / "lib")
        key = carried_key(it.kind, it.provenance["inputs"], MADE_WITH[it.kind])
        (place / PROVENANCE).write_text(json.dumps({**it.provenance, CARRIED_KEY: key}, indent=1) + "\n")
    (package / "__init__.py").write_text('"""What ovmf-acceptance compiles, built."""\n')
    (info / "licenses").mkdir(parents=True)
    for path in (SHIPPED / "LICENSES").iterdir():
        shutil.copy2(path, info / "licenses")
    for library in sorted(package.glob("*/*/lib/*")):
        shutil.copy(copyright_of(library.name), info / "licenses" / f"{library.name}.copyright")
    (info / "METADATA").write_text(_METADATA.format(name=DISTRIBUTION, version=version, source=source_name))
    (info / "WHEEL").write_text(_WHEEL)


def bundle(program: Path, folder: Path) -> None:
    """Copy the libraries that a program needs to a folder beside it, all but glibc's, and let it find them.

    auditwheel would leave glib and zlib to the host, for most have them; a small Debian has no glib.
    """
    folder.mkdir()
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    for name, path in re.findall(r"^\t(\S+) => (\S+) ", told, re.MULTILINE):
        if not name.startswith(GLIBC):
            copy = Path(shutil.copy(path, folder / name))
            copy.chmod(0o755)
            patchelf("$ORIGIN", copy)
    patchelf(f"$ORIGIN/{folder.name}", program)


def copyright_of(library: str) -> Path:
    """Return what Debian says of the licence of a library of this host."""
    told = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True, check=True).stdout
    package = told.partition(":")[0]
    return Path("/usr/share/doc", package, "copyright")


def patchelf(runpath: str, file: Path) -> None:
    subprocess.run(["patchelf", "--set-rpath", runpath, str(file)], check=True)


def repair(folder: Path, work: Path, dist: Path) -> Path:
    """Return the wheel of a staged folder, with its libraries; its provenance says what the files are now."""
    raw, grafted, whole = (work / name for name in ("raw", "grafted", "whole"))
    run("wheel", "pack", str(folder), "--dest-dir", str(make(raw)))
    run("auditwheel", "repair", "--wheel-dir", str(make(grafted)), *map(str, raw.glob("*.whl")))
    [wheel] = grafted.glob("*.whl")
    run("wheel", "unpack", "--dest", str(make(whole)), str(wheel))
    [unpacked] = whole.iterdir()
    for path in sorted((unpacked / PACKAGE).glob(f"*/*/{PROVENANCE}")):
        provenance = json.loads(path.read_bytes())
        provenance["files"] = digest_tree(path.parent, frozenset({PROVENANCE}))
        path.write_text(json.dumps(provenance, indent=1) + "\n")
    run("wheel", "pack", str(unpacked), "--dest-dir", str(dist))
    return dist / wheel.name


def write_source(ingredients: Ingredients, file: Path) -> None:
    """Write the archive of QEMU's exact source: Debian's source package, our patches, files and recipe."""
    recipe = load_qemu(ingredients.project)
    wanted = ingredients.base_lock.require(recipe.queries()[0])
    tarballs = source(
        ingredients.apt, wanted.package, wanted.version, suite=wanted.suite, sha256=wanted.sha256
    )
    with tarfile.open(file, "w") as archive:  # what is large in it is compressed already
        for path in sorted(path for path in tarballs.path.iterdir() if path.name != PROVENANCE):
            archive.add(path, f"{file.stem}/debian/{path.name}")
        archive.add(SHIPPED / "qemu-builds", f"{file.stem}/qemu-builds", filter=_no_caches)


def _no_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


def make(folder: Path) -> Path:
    """Make a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(tool: str, *arguments: str) -> None:
    """Run a tool of this environment."""
    subprocess.run([sys.executable, "-m", tool, *arguments], check=True)


def main() -> int:
    """Make both files and print where they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dist", type=Path, default=SHIPPED / "dist", metavar="DIR")
    parser.add_argument(
        "--untrained", action="store_true", help="take the QEMU that is in the cache, not trained by boots"
    )
    options = parser.parse_args()
    os.environ.pop(SETTING, None)  # what travels runs on every processor
    ingredients = Ingredients()
    version = harness_version().version
    archive = make(options.dist) / f"{PACKAGE}-{version}-source.tar"
    write_source(ingredients, archive)
    with tempfile.TemporaryDirectory(prefix="qemu-wheel-") as name:
        staged = Path(name, "staged")
        stage(made(ingredients, None if options.untrained else TRAINING), staged, version, archive.name)
        print(repair(staged, Path(name), options.dist))
    print(archive)
    return 0


if __name__ == "__main__":
    sys.exit(main())
