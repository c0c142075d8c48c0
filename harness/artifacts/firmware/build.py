# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Firmware built from source: never twice, and a variant costs only the modules that it changes.

A finished build is a store entry, keyed by all that went in. Builds of the same sources with the same options
share one warm work tree below ``<cache>/edk2/``, one after the other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from harness.artifacts.firmware import edk2_build
from harness.artifacts.firmware.edk2_build import VERSIONS
from harness.artifacts.firmware.edk2_source import Edk2Source, edk2_source
from harness.errors import HarnessError
from harness.formats.patches import apply_patches, read_patches
from harness.paths import cache_dir
from harness.store import file_tree
from harness.store.build_tree import WorkTree
from harness.store.inputs import canonical
from harness.store.locks import held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.debian.archive import AptRoot
    from harness.debian.lock_file import Lock
    from harness.progress import Progress
    from harness.recipes.firmware import FirmwareRecipe
    from harness.store.entries import Artifact
    from harness.store.inputs import JSONValue

KIND = "firmware"
LOG = "build.log"
_CONF = "BaseTools/Conf/"
"""Where edk2 keeps the compilers' command lines and what makes which file of which."""
_WAY = 1
"""How images are built here; a change of it that changes images gets the next number."""


def build_inputs(recipe: FirmwareRecipe, source: Edk2Source) -> dict[str, JSONValue]:
    """Return everything that a built image depends on."""
    return {
        "source": source.content,
        "patches": [f"{path.name} {_digest(path)}" for path in recipe.patches],
        **_flags(recipe),
    }


def explain_firmware(recipe: FirmwareRecipe, apt: AptRoot, lock: Lock) -> str:
    """Return whether the image would be built anew, and which of its inputs changed."""
    source = edk2_source(recipe, apt, lock)
    return apt.store.explain(KIND, recipe.name, build_inputs(recipe, source))


def build_firmware(recipe: FirmwareRecipe, apt: AptRoot, lock: Lock) -> Artifact:
    """Return the built firmware (``IMAGE`` in the artifact's folder); minutes when nothing is warm.

    Raises HarnessError for missing tools (with their packages), patches that do not apply, compile errors.
    """
    source = edk2_source(recipe, apt, lock)

    def build(directory: Path) -> None:
        edk2_build.check_tools()
        pristine = source.open()
        # Before the wait for another build in the same tree: what does not apply ends the build at once.
        patches = [patch for path in recipe.patches for patch in read_patches(path)]
        overlay = apply_patches(patches, pristine.read)
        work = _work_tree(recipe, source, overlay)
        with (
            held(work.root.with_name(f".{work.root.name}.lock"), f"a build in {work.root}", apt.progress),
            work.prepared(pristine, overlay) as changed,
        ):
            apt.progress(f"firmware {recipe.name}: {len(changed)} files changed in {work.root}")
            _build_in(work, recipe, directory, apt.progress, changed)
            work.whole.touch()

    inputs = build_inputs(recipe, source)
    return apt.store.get(KIND, recipe.name, inputs, build, apt.progress, tools=("gcc", "nasm", "make"))


def _build_in(
    work: WorkTree, recipe: FirmwareRecipe, directory: Path, progress: Progress, changed: frozenset[str]
) -> None:
    log = cache_dir() / "logs" / f"firmware-{recipe.name}.log"
    log.unlink(missing_ok=True)
    output = edk2_build.build(work, recipe.options, log, f"firmware {recipe.name}", progress, changed)
    edk2_build.collect(output, work.source, recipe.options.arch, directory)
    shutil.copy2(log, directory / LOG)


def _work_tree(recipe: FirmwareRecipe, source: Edk2Source, overlay: Mapping[str, bytes | None]) -> WorkTree:
    """Find the work tree that everything with these sources and flags shares.

    A patched compiler command line is a flag like any other: all modules depend on it.
    """
    conf = {
        name: hashlib.sha256(content).hexdigest() if content is not None else None
        for name, content in overlay.items()
        if name.startswith(_CONF)
    }
    identity = canonical({"source": source.line, **_flags(recipe), **conf})
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return WorkTree(cache_dir() / "edk2" / f"{recipe.options.target.lower()}-{digest}")


def _flags(recipe: FirmwareRecipe) -> dict[str, JSONValue]:
    """Return what changes every module: options and tools."""
    options = dataclasses.asdict(recipe.options)
    options["defines"], options["pcds"] = dict(recipe.options.defines), dict(recipe.options.pcds)
    running = {name: _started(command) for name, command in VERSIONS.items()}  # at once: each takes a while
    tools = {name: _first_line(process) for name, process in running.items()}
    return {"options": options, "tools": {**tools, "python": sys.version.split()[0]}, "way": _WAY}


def _started(argv: Sequence[str]) -> subprocess.Popen[str] | None:
    try:
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None


def _first_line(process: subprocess.Popen[str] | None) -> str:
    if process is None:
        return "missing"
    said, _ = process.communicate()
    return next((line for line in said.splitlines() if line.strip()), "")


def _digest(path: Path) -> str:
    try:
        return file_tree.digest_file(path)
    except OSError as error:
        raise HarnessError(f"patch {path}: {error.strerror}") from error
