# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Symbols beside a kernel, from a build or a -dbg package: ``vmlinux`` with source lines, ``System.map``.

What belongs to another kernel is refused: by the build id, and ``System.map``, which has none, by the place
of the kernel's version.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.evidence.symbols.debug_file import Line, lines_of, source_name
from harness.formats.bzimage import read_release
from harness.formats.kallsyms import Kallsyms, code_symbols, read_kallsyms, read_system_map
from harness.formats.linux_payload import build_id

if TYPE_CHECKING:
    from collections.abc import Iterator

DEBUG = Path("/usr/lib/debug")
"""Where the -dbg and -debuginfo packages of distributions put a kernel's vmlinux."""
_BUILT_AT = ("arch", "x86", "boot")
_EXECUTABLE = 0x4


@dataclass(frozen=True)
class KernelFiles:
    """The symbols of a kernel, where they are from, and what was refused.

    ``path``: a vmlinux or a System.map, None where the image's own table is used.
    """

    symbols: Kallsyms
    path: Path | None = None
    vmlinux: Vmlinux | None = None
    refused: tuple[str, ...] = ()


class Vmlinux:
    """A kernel with debug information; source lines are read for the unit that an address is in."""

    def __init__(self, path: Path) -> None:
        from elftools.elf.elffile import ELFFile  # noqa: PLC0415  # few commands read symbols

        self.path = path
        self._elf: Any = ELFFile.load_from_path(str(path))
        self._dwarf = self._elf.get_dwarf_info(relocate_dwarf_sections=False)
        self._units = self._dwarf.get_aranges() if self._elf.has_dwarf_info() else None

    def line(self, address: int) -> str:
        """Return ``arch/x86/mm/mem_encrypt_amd.c:124`` for an address as linked, "" where none is known."""
        at = self._units.cu_offset_at_addr(address) if self._units is not None else None
        if at is None:
            return ""
        unit = self._dwarf.get_CU_at(at)
        program = self._dwarf.line_program_for_CU(unit)
        found: Line | None = None
        for line in sorted(lines_of(program), key=lambda it: it.address) if program is not None else ():
            if line.address > address:
                break
            found = line
        if found is None or not found.line:
            return ""
        home = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
        folder = home.value.decode(errors="replace") + "/" if home is not None else ""
        return f"{source_name(found.file.removeprefix(folder))}:{found.line}"

    def symbols(self) -> Kallsyms:
        """Return the functions of its symbol table; none where it was stripped."""
        table = self._elf.get_section_by_name(".symtab")
        names, addresses = [], []
        code = {
            number
            for number, section in enumerate(self._elf.iter_sections())
            if section["sh_flags"] & _EXECUTABLE
        }
        for it in table.iter_symbols() if table is not None else ():
            if it["st_shndx"] in code and it.name and it["st_info"]["type"] in {"STT_FUNC", "STT_NOTYPE"}:
                names.append("t" + it.name)
                addresses.append(it["st_value"])
        return code_symbols(names, addresses)


def symbols_beside(image: Path | None, bzimage: bytes, elf: bytes) -> KernelFiles:
    """Return a kernel's symbols: of a vmlinux or a System.map of it, else those that the image carries.

    ``image``: the file that was booted, None for a kernel on a disk; ``bzimage``: its bytes; ``elf``: the
    kernel in it. HarnessError where there are none.
    """
    release = read_release(bzimage)
    refused: list[str] = []
    for path in _vmlinux(image, release):
        try:
            vmlinux = _belonging(path, elf)
        except HarnessError as error:
            refused.append(error.what)
            continue
        return KernelFiles(_own(elf) or vmlinux.symbols(), path, vmlinux, tuple(refused))
    for path in _maps(image, release):
        try:
            return KernelFiles(
                read_system_map(path.read_text(errors="replace"), elf, str(path)), path, None, tuple(refused)
            )
        except HarnessError as error:
            refused.append(error.what)
    return KernelFiles(read_kallsyms(elf), refused=tuple(refused))


def _own(elf: bytes) -> Kallsyms | None:
    """Return the image's own table, which is read faster than a vmlinux's; None where it has none."""
    try:
        return read_kallsyms(elf)
    except HarnessError:
        return None


def _belonging(path: Path, elf: bytes) -> Vmlinux:
    from elftools.common.exceptions import ELFError  # noqa: PLC0415  # few commands read symbols

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = build_id(content)  # type: ignore[arg-type]  # of a map, slices are bytes
        vmlinux = Vmlinux(path)
    except (OSError, ValueError, ELFError, HarnessError) as error:
        raise HarnessError(f"{path}: no symbols can be read: {error}") from None
    wanted = build_id(elf)
    if not wanted or found != wanted:
        raise HarnessError(
            f"{path} (build id {found or 'unknown'}) is not of the booted kernel ({wanted or 'unknown'})"
        )
    return vmlinux


def _vmlinux(image: Path | None, release: str) -> Iterator[Path]:
    places = [DEBUG / f"boot/vmlinux-{release}", DEBUG / f"lib/modules/{release}/vmlinux"]
    if image is not None:
        root = _root(image)
        places += [root / "usr/lib/debug/boot" / f"vmlinux-{release}"]
        places += [root / "usr/lib/debug/lib/modules" / release / "vmlinux"]
        places = [*_near(image, "vmlinux", release), *places]
    yield from (path for path in dict.fromkeys(places) if path.is_file())


def _maps(image: Path | None, release: str) -> Iterator[Path]:
    places = [DEBUG / f"boot/System.map-{release}"]
    if image is not None:
        places = [*_near(image, "System.map", release), *places]
    yield from (path for path in dict.fromkeys(places) if path.is_file())


def _near(image: Path, name: str, release: str) -> Iterator[Path]:
    """Yield where a build or a package leaves a file: at the top of the tree, beside the image."""
    real = image.resolve()
    if real.parent.parts[-len(_BUILT_AT) :] == _BUILT_AT:
        yield real.parents[len(_BUILT_AT)] / name
    yield from (image.parent / f"{name}-{release}", image.parent / name)


def _root(image: Path) -> Path:
    """Return the folder that a package was unpacked to: what is above boot or lib/modules/RELEASE."""
    above = image.parents
    return above[1] if image.parent.name == "boot" or len(above) < 4 else above[3]
