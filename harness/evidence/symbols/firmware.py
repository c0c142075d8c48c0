# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The symbols of the firmware that a record booted: ``.debug`` files of the very build."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.firmware.modules import firmware_modules
from harness.errors import HarnessError
from harness.evidence.record import StoredFile
from harness.evidence.symbols.debug_file import DebugFile
from harness.evidence.symbols.modules import Module
from harness.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.artifacts.firmware.modules import FirmwareModule
    from harness.evidence.record import BootRecord

_PAGE = 4096
FOLDER = "symbols"
"""Beside a built image: the ``.debug`` file of each of its modules."""


def firmware_symbols(record: BootRecord) -> tuple[Mapping[str, DebugFile], str]:
    """Return the symbols of a record's firmware by module, and why there are none.

    They are those of a build in the store, here under the path that the record names, or in the cache of this
    host. A build whose image is another than the booted one is refused.
    """
    given = record.inputs.get("firmware")
    if given is None or given.path is None:
        return {}, "the record does not say which firmware it booted"
    booted = Path(given.path)
    store = cache_dir() / "store"
    for image in (booted, store.joinpath(*booted.parts[-3:])):
        folder = image.parent / FOLDER
        if folder.is_dir() and image.is_file():
            if _digest(image) != given.sha256:
                return {}, f"the symbols in {folder} are of another build than the one that was booted"
            return debug_files(folder), ""
    return {}, "its firmware has no symbols here: they are made when the harness builds it"


def fixed_modules(record: BootRecord) -> tuple[Module, ...]:
    """Return the modules that run where the image puts them; none where the booted image is not here."""
    given = record.inputs.get("firmware")
    if given is None or given.path is None:
        return ()
    return _fixed(Path(given.path), given.sha256)


@lru_cache(maxsize=8)
def _programs(image: Path, sha256: str) -> tuple[FirmwareModule, ...]:
    """Return the modules of an image; none where it is not there, or another one by now."""
    if not image.is_file() or _digest(image) != sha256:
        return ()
    return firmware_modules(image.read_bytes())


def _fixed(image: Path, sha256: str) -> tuple[Module, ...]:
    found = _programs(image, sha256)
    return tuple(Module(it.address, it.name, it.size, str(it.guid)) for it in found if it.address is not None)


@lru_cache(maxsize=8)
def debug_files(folder: Path) -> Mapping[str, DebugFile]:
    """Return a folder's ``.debug`` files by module, in small letters; HarnessError for one without any."""
    found = {path.stem.lower(): DebugFile(path) for path in sorted(folder.glob("*.debug"))}
    if not found:
        raise HarnessError(f"{folder}: no .debug files", "name the folder X64 of the build, or its symbols")
    return found


def fitting_modules(record: BootRecord, code_seen: Mapping[int, bytes]) -> tuple[Module, ...]:
    """Return the modules that can alone have been where code of the firmware was seen to run.

    ``code_seen``: instructions by their addresses, such as PVALIDATE where the ledger saw one. DXE loads
    modules at multiples of a page: one of those in the image has the instruction at that place in a page, and
    all others that were seen near it.
    """
    given = record.inputs.get("firmware")
    if given is None or given.path is None or not code_seen:
        return ()
    found = {}
    for address, code in code_seen.items():
        fitting = {
            Module(address - at, it.name, it.size, str(it.guid))
            for it in _programs(Path(given.path), given.sha256)
            for at in _places_of(code, it.program)
            if (address - at) % _PAGE == 0 and _fits(it, address - at, code_seen)
        }
        if len({module.name for module in fitting}) == len(fitting) == 1:
            module = fitting.pop()
            found[module.base] = module
    return tuple(found.values())


def _places_of(code: bytes, program: bytes) -> Iterator[int]:
    at = program.find(code)
    while at >= 0:
        yield at
        at = program.find(code, at + 1)


def _fits(module: FirmwareModule, base: int, code_seen: Mapping[int, bytes]) -> bool:
    """Return whether a module at a base has all the code that was seen in its memory."""
    inside = {
        address - base: code for address, code in code_seen.items() if base <= address < base + module.size
    }
    return all(module.program.startswith(code, at) for at, code in inside.items())


def belonging(folder: Path, image: Path) -> Mapping[str, DebugFile]:
    """Return a folder's ``.debug`` files by module; HarnessError when one is of another image than ``image``.

    Code decides, for edk2 leaves the build id out of the image.
    """
    files = debug_files(folder)
    checked = 0
    for module in firmware_modules(image.read_bytes()):
        found = symbols_of(Module(0, module.name, guid=str(module.guid)), files)
        if found is None:
            continue
        if not found.belongs_to(module.program):
            raise HarnessError(
                f"{found.path} (build id {found.build_id or 'unknown'}) does not belong to {image}: "
                f"the code of {module.name} there is another",
                "name the symbols of the build that made the image",
            )
        checked += 1
    if not checked:
        raise HarnessError(f"{folder}: of no module of {image}", "name the symbols of the build that made it")
    return files


def symbols_of(module: Module, files: Mapping[str, DebugFile]) -> DebugFile | None:
    """Return a module's symbols; of two modules with one name, edk2 puts the GUID behind each name."""
    return files.get(f"{module.name}_{module.guid}".lower()) or files.get(module.name.lower())


@lru_cache(maxsize=8)
def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return StoredFile.of(file).sha256
