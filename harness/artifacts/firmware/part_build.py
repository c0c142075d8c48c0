# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The short way to a variant: compile what depends on the C files that changed, and pack the image again.

edk2's ``build`` reads all that describes the platform and calls make for each of some 270 modules, which
takes most of its time when one file changed. After a whole build with the same options its makefiles are
right as long as nothing but C files changes.

A module's makefile also packs it into the file that goes into the image. When edk2 makes the image
alone it takes these files as they are, and writes the makefile of a module whose sources are newer than its
stamp anew, without that step.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_MAKEFILE = "GNUmakefile"
_OUTPUT = "OUTPUT"
_STAMP = "AutoGenTimeStamp"
_PACKS = "GenFfs "


def makefiles_of(changed: Collection[str], source: Path, modules: Path) -> list[Path] | None:
    """Return the makefiles of all modules that depend on changed C files, libraries first.

    ``changed`` are paths below ``source``; ``modules`` is the folder that has a makefile for each module.
    None: something else changed, a file that nothing was compiled from, or a makefile that does not pack its
    module; only a whole build knows more.
    """
    if not changed or any(not name.endswith(".c") for name in changed):
        return None
    built = [Path(folder) for folder, _, names in os.walk(modules) if _MAKEFILE in names]
    files = {str(source / name) for name in changed}
    compiled, found = set(), []
    for folder in built:
        if mine := _compiled_from(folder, files):
            compiled |= mine
            found.append(folder)
    if compiled != files:
        return None
    archives = [f"$(BIN_DIR)/{folder.relative_to(modules)}/{_OUTPUT}/" for folder in found]
    linked = [
        folder
        for folder in built
        if folder not in found and any(each in (folder / _MAKEFILE).read_text() for each in archives)
    ]
    if any(_is_unpacked(folder) for folder in (*found, *linked)):
        return None
    return [folder / _MAKEFILE for folder in (*found, *linked)]


def keep(makefiles: Collection[Path]) -> None:
    """Let edk2 find these makefiles to be as new as the sources of their modules."""
    for path in makefiles:
        path.with_name(_STAMP).touch()


def mend(modules: Path) -> None:
    """Have a whole build write all makefiles anew that do not pack their modules."""
    for folder, _, names in os.walk(modules):
        if _MAKEFILE in names and _is_unpacked(Path(folder)):
            (Path(folder) / _STAMP).unlink(missing_ok=True)


def _is_unpacked(folder: Path) -> bool:
    """Return whether a module has a program that its makefile does not pack; libraries have none."""
    return any((folder / _OUTPUT).glob("*.efi")) and _PACKS not in (folder / _MAKEFILE).read_text()


def _compiled_from(folder: Path, files: Collection[str]) -> set[str]:
    """Return which of the files the compiler read for a module, as it noted itself (``-MMD``)."""
    words: set[str] = set()
    for noted in (folder / _OUTPUT).rglob("*.deps"):
        words.update(noted.read_text(errors="replace").replace("\\\n", " ").split())
    return words & set(files)
