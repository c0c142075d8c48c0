# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Build QEMU with SEV-SNP emulation from Debian's source and ``qemu-builds/``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.qemu_native import native
from harness.artifacts.qemu_trained import COUNT, USE, Training, possible, train
from harness.debian.source import source, unpack
from harness.errors import HarnessError, HostError
from harness.paths import SHIPPED_PROJECT, Project, cache_dir
from harness.recipes.qemu import QEMU_FILE
from harness.store import file_tree
from harness.store.build_steps import run_step
from harness.store.compilers import compilers

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.recipes.qemu import QemuRecipe
    from harness.store.entries import Artifact
    from harness.store.inputs import JSONValue

KIND = "qemu"
BINARY = "qemu-system-x86_64"
MADE_WITH = ("compiler", "glib", "meson", "trained")
"""Inputs that are tools and libraries of the host, and what made QEMU fast there."""
_OURS = "files"
_DATA = "qemu-bundle/usr/local/share/qemu"
"""Where a QEMU that was not installed looks for its data files, relative to its binary."""
_NO_PATHS = "--extra-cflags=-fmacro-prefix-map={source}/="
"""The source lies in a folder that no other build has; a binary that does not name it is the same in all."""
_MESON = (sys.executable, "-m", "mesonbuild.mesonmain")
_TOOLS = {"gcc": "gcc", "ninja": "ninja-build", "pkg-config": "pkg-config", "patch": "patch"}
_LIBRARIES = {
    "glib-2.0": "libglib2.0-dev",
    "pixman-1": "libpixman-1-dev",
    "slirp": "libslirp-dev",
    "libseccomp": "libseccomp-dev",
}


def qemu_inputs(
    recipe: QemuRecipe,
    lock: Lock,
    project: Project = SHIPPED_PROJECT,
    *,
    patched: bool = True,
    training: Training | None = None,
) -> dict[str, JSONValue]:
    """Return everything that a built QEMU depends on."""
    source_query, data_query = recipe.queries()
    wanted, data = lock.require(source_query), lock.require(data_query)
    there, own = folder(project), native()
    return {
        "source": f"{wanted.package} {wanted.version} {wanted.sha256}",
        "data": f"{data.package} {data.version} {data.sha256}",
        "configure": [*recipe.configure, *own.configure, _NO_PATHS],
        "patches": {path.name: file_tree.digest_file(path) for path in _patches(there, patched)},
        "files": {
            str(path): file_tree.digest_file(there / _OURS / path)
            for path in own_files(there, patched=patched)
        },
        "compiler": _first_line("gcc", "--version"),
        "glib": _first_line("pkg-config", "--modversion", "glib-2.0"),
        "meson": metadata.version("meson"),
        **dict(own.inputs),
        **({"trained": training.named} if training is not None else {}),
    }


def build_qemu(
    recipe: QemuRecipe,
    apt: AptRoot,
    lock: Lock,
    project: Project = SHIPPED_PROJECT,
    *,
    patched: bool = True,
    training: Training | None = None,
) -> Artifact:
    """Return the built QEMU (``BINARY`` in the artifact's folder); minutes when it is new.

    Without ``patched`` it is Debian's QEMU in our configuration, to compare with. ``training`` has it
    compiled twice, where the compiler can. Raises HarnessError for missing build tools (with their packages),
    patches that do not apply and compile errors.
    """
    _, data_query = recipe.queries()
    data = lock.require(data_query)
    training = possible(training, apt.progress)

    def build(directory: Path) -> None:
        _check_tools()
        roms = apt.extract(data, recipe.data.paths)
        log = cache_dir() / "logs" / "qemu-build.log"
        log.unlink(missing_ok=True)
        work = directory / "work"
        tree_dir = work / "source"
        unpack_source(recipe, apt, lock, tree_dir)
        _add_ours(tree_dir, folder(project), patched, log, apt.progress)
        build_dir = work / "build"
        _compile(recipe, tree_dir, build_dir, log, apt, () if training is None else (COUNT,))
        if training is not None:
            _lay_data(recipe, roms.path, build_dir)
            train(training, build_dir / BINARY, apt.progress)
            _compile_anew(build_dir, log, apt)
        shutil.copy2(build_dir / BINARY, directory / BINARY)
        subprocess.run(["strip", str(directory / BINARY)], check=True)
        _lay_data(recipe, roms.path, directory)
        file_tree.remove(work)

    name = recipe.package if patched else f"{recipe.package}-unpatched"
    inputs = qemu_inputs(recipe, lock, project, patched=patched, training=training)
    return apt.store.get(KIND, name, inputs, build, apt.progress, tools=("gcc", "ninja"), made_with=MADE_WITH)


def own_program(path: str, named: str) -> Path:
    """Return a user's own QEMU; HarnessError, with how it is ``named``, where there is no such program."""
    program = Path(path).expanduser().absolute()
    if program.is_dir() or not os.access(program, os.X_OK):
        raise HarnessError(f"{named}: no such program", "name a qemu-system-x86_64")
    return program


def folder(project: Project = SHIPPED_PROJECT) -> Path:
    """Return the folder ``qemu-builds`` of the project's one QEMU."""
    return project.one(QEMU_FILE).parent


def unpack_source(recipe: QemuRecipe, apt: AptRoot, lock: Lock, tree: Path) -> None:
    """Unpack Debian's source to ``tree``, which must not exist; HarnessError when it cannot be had."""
    query, _ = recipe.queries()
    wanted = lock.require(query)
    tarballs = source(apt, wanted.package, wanted.version, suite=wanted.suite, sha256=wanted.sha256)
    apt.progress(f"unpacking {wanted.package} {wanted.version}")
    unpack(tarballs, tree)


def patches(there: Path) -> list[Path]:
    """Return the patches of a folder ``qemu-builds``, in their order."""
    return sorted((there / "patches").glob("*.patch"))


def _patches(there: Path, patched: bool) -> list[Path]:
    return patches(there) if patched else []


def own_files(there: Path, *, patched: bool = True) -> list[Path]:
    """Return what is laid over the source, by its path there; the choice of devices is no emulation."""
    files = there / _OURS
    below = files if patched else files / "configs"
    return sorted(path.relative_to(files) for path in below.rglob("*") if path.is_file())


def lay_files_over(source_tree: Path, there: Path, *, patched: bool = True) -> None:
    """Copy the files of a folder ``qemu-builds`` into the unpacked source."""
    for own in own_files(there, patched=patched):
        (source_tree / own).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(there / _OURS / own, source_tree / own)


def _add_ours(
    source_tree: Path, there: Path, patched: bool, log: Path, progress: Callable[[str], None]
) -> None:
    lay_files_over(source_tree, there, patched=patched)
    for patch in _patches(there, patched):
        argv = ["patch", "--batch", "--strip=1", "--fuzz=0", "--input", str(patch)]
        run_step(f"QEMU: {patch.name}", argv, source_tree, log, progress)


def _lay_data(recipe: QemuRecipe, roms: Path, folder: Path) -> None:
    """Copy the data files to where a QEMU in ``folder`` looks for them."""
    (folder / _DATA).mkdir(parents=True, exist_ok=True)
    for path in recipe.data.paths:
        shutil.copy2(roms / path, folder / _DATA)


def _compile(
    recipe: QemuRecipe, source_tree: Path, build: Path, log: Path, apt: AptRoot, more: tuple[str, ...]
) -> None:
    build.mkdir()
    own = native()
    if own.left_out is not None:
        apt.progress(own.left_out)
    options = (*recipe.configure, *own.configure, _NO_PATHS.format(source=source_tree), *more)
    configure = [str(source_tree / "configure"), f"--python={sys.executable}", *options]
    run_step("QEMU: configure", configure, build, log, apt.progress, _environment())
    _ninja(build, log, apt)


def _compile_anew(build: Path, log: Path, apt: AptRoot) -> None:
    """Compile by the counts that lie beside the object files."""
    meson = [*_MESON, "configure", USE]
    run_step("QEMU: configure to use the counts", meson, build, log, apt.progress, _environment())
    _ninja(build, log, apt)


def _ninja(build: Path, log: Path, apt: AptRoot) -> None:
    jobs = compilers("QEMU: compile", apt.progress)
    ninja = ["ninja", "-j", str(jobs), BINARY]
    run_step("QEMU: compile", ninja, build, log, apt.progress, _environment())


def _environment() -> dict[str, str]:
    """Return what finds meson, which is in this environment: QEMU's own takes it from there."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _first_line(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return "missing"
    return done.stdout.partition("\n")[0]


def _check_tools() -> None:
    """Say all that is missing at once, by the names of Debian's packages."""
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if shutil.which("pkg-config"):
        missing += [
            package
            for library, package in _LIBRARIES.items()
            if subprocess.run(["pkg-config", "--exists", library], check=False).returncode
        ]
    if not Path("/usr/include/libfdt.h").exists():
        missing.append("libfdt-dev")
    if missing:
        raise HostError(
            f"building QEMU needs Debian packages that are not installed: {' '.join(missing)}",
            "./run installs them, or: apt-get install " + " ".join(missing),
        )
