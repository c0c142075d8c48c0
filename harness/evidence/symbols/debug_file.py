# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The ``.debug`` file of one firmware module: which function and source line an offset in the module is.

edk2's GenFw keeps the addresses of the linked ELF file as offsets in the module's PE image, and the build id
in the ELF file alone: whether a file belongs to an image shows by its code (`belongs_to`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PACKAGE = re.compile(r"(?:^|/)((?:\w+Pkg|Build)/.*)$")
"""Where the name of a source file begins that is the same on every machine."""
_NAMED = {"DW_AT_name", "DW_AT_decl_file", "DW_AT_decl_line"}
_ABSOLUTE = 1  # R_X86_64_64: what a loader changes in code
_RELOCATED = 8
"""Bytes of one."""


@dataclass(frozen=True)
class Line:
    """From ``address`` on, the code is of ``line`` in ``file``; line 0 ends a row of code."""

    address: int
    file: str
    line: int


@dataclass(frozen=True)
class Function:
    """A function's first address, its bytes (0: unknown) and its name."""

    address: int
    size: int
    name: str


@dataclass(frozen=True)
class Declaration:
    """Where a source file defines a function."""

    file: str
    line: int
    name: str


class DebugFile:
    """One file, read when first asked; HarnessError for what is no ELF file with DWARF."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def module(self) -> str:
        """The name of the module that the file is of."""
        return self.path.stem

    def place(self, offset: int) -> str:
        """Return ``Function()+0x1c at OvmfPkg/AmdSevDxe/AmdSevDxe.c:45`` for an offset, as far as known."""
        function, line = self.function(offset), self.line(offset)
        name = "" if function is None else f"{function.name}()+{offset - function.address:#x}"
        return " at ".join(filter(None, (name, f"{line.file}:{line.line}" if line is not None else "")))

    def function(self, offset: int) -> Function | None:
        """Return the function that an offset is in."""
        at = bisect_right(self._starts, offset) - 1
        if at < 0:
            return None
        found = self.functions[at]
        return found if not found.size or offset < found.address + found.size else None

    def line(self, offset: int) -> Line | None:
        """Return the source line that an offset is of."""
        at = bisect_right(self._addresses, offset) - 1
        return self.lines[at] if at >= 0 and self.lines[at].line else None

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """All functions, by address; of several names at one address the last one counts."""
        table = self._elf.get_section_by_name(".symtab")
        found = {}
        for it in table.iter_symbols() if table is not None else ():
            value, size, kind = it["st_value"], it["st_size"], it["st_info"]["type"]
            if it["st_shndx"] == self._text_index and (
                kind == "STT_FUNC" or (kind == "STT_NOTYPE" and _is_code(it.name))
            ):
                found[value] = Function(value, size, it.name.partition(".")[0])
        return tuple(found[address] for address in sorted(found))

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The line table, by address."""
        found: dict[int, Line] = {}
        for unit in self._dwarf.iter_CUs():
            program = self._dwarf.line_program_for_CU(unit)
            if program is not None:
                for line in lines_of(program):
                    if line.line or line.address not in found:
                        found[line.address] = line
        return tuple(found[address] for address in sorted(found))

    @cached_property
    def sources(self) -> dict[str, str]:
        """Where the build had each source file, by the file's name."""
        found = {}
        for unit in self._dwarf.iter_CUs():
            program = self._dwarf.line_program_for_CU(unit)
            found.update({source_name(path): path for path in _paths(program)} if program is not None else {})
        return found

    @cached_property
    def declared(self) -> tuple[Declaration, ...]:
        """All functions that the module's sources define, those that are inlined everywhere, too."""
        found = []
        for unit in self._dwarf.iter_CUs():
            program = self._dwarf.line_program_for_CU(unit)
            names = [source_name(path) for path in _paths(program)] if program is not None else []
            for it in unit.get_top_DIE().iter_children():
                has = it.attributes
                if it.tag != "DW_TAG_subprogram" or "DW_AT_declaration" in has or not has.keys() >= _NAMED:
                    continue
                at = has["DW_AT_decl_file"].value - (0 if program.header.version >= 5 else 1)
                if 0 <= at < len(names):
                    name = _text(has["DW_AT_name"].value)
                    found.append(Declaration(names[at], has["DW_AT_decl_line"].value, name))
        return tuple(found)

    @cached_property
    def build_id(self) -> str:
        """The linker's build id, "" where the file has none."""
        for name in (".build-id", ".note.gnu.build-id"):
            if (section := self._elf.get_section_by_name(name)) is not None:
                return str(section.data()[16:].hex())
        return ""

    @cached_property
    def text(self) -> tuple[int, bytes]:
        """The address and the bytes of the module's code."""
        section = self._elf.get_section_by_name(".text")
        return int(section["sh_addr"]), bytes(section.data())

    def belongs_to(self, image: bytes) -> bool:
        """Return whether a PE image holds this file's code, but for the addresses that a loader corrects."""
        start, text = self.text
        there = image[start : start + len(text)]
        if len(there) != len(text):
            return False
        relocations = self._elf.get_section_by_name(".rela.text")
        absolute = 0
        if relocations is not None:
            absolute = sum(it["r_info_type"] == _ABSOLUTE for it in relocations.iter_relocations())
        differing = sum(a != b for a, b in zip(text, there, strict=True))
        return differing <= absolute * _RELOCATED

    @cached_property
    def _starts(self) -> list[int]:
        return [function.address for function in self.functions]

    @cached_property
    def _addresses(self) -> list[int]:
        return [line.address for line in self.lines]

    @cached_property
    def _text_index(self) -> int:
        return int(self._elf.get_section_index(".text"))

    @cached_property
    def _dwarf(self) -> Any:
        return self._elf.get_dwarf_info(relocate_dwarf_sections=False)

    @cached_property
    def _elf(self) -> Any:
        from elftools.common.exceptions import ELFError  # noqa: PLC0415  # few commands read symbols
        from elftools.elf.elffile import ELFFile  # noqa: PLC0415

        try:
            elf = ELFFile.load_from_path(str(self.path))
        except (OSError, ELFError) as error:
            raise HarnessError(f"{self.path}: no symbols can be read: {error}") from error
        if elf.get_section_by_name(".text") is None:
            raise HarnessError(f"{self.path}: it has no code, and no symbols")
        return elf


def source_name(path: str) -> str:
    """Return a source file's name from its package on: ``OvmfPkg/AmdSevDxe/AmdSevDxe.c``."""
    found = _PACKAGE.search(path)
    return found[1] if found else path


def _is_code(name: str) -> bool:
    """Return whether an untyped symbol, as nasm makes them, is a function and no label in one."""
    return bool(name) and not name.startswith(("@", ".", "$")) and "." not in name


def lines_of(program: Any) -> Iterator[Line]:
    """Yield the lines of one unit's line program, as pyelftools reads it."""
    first = 0 if program.header.version >= 5 else 1
    names = [source_name(path) for path in _paths(program)]
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.end_sequence:
            yield Line(state.address, "", 0)
            continue
        at = state.file - first
        yield Line(state.address, names[at] if 0 <= at < len(names) else "", state.line)


def _paths(program: Any) -> list[str]:
    """Return the paths of a line program's files, in the order of their numbers."""
    header = program.header
    folders = [_text(it) for it in header.include_directory]
    home = folders[0] if folders and header.version >= 5 else ""
    paths = []
    for entry in header.file_entry:
        at = entry.dir_index - (0 if header.version >= 5 else 1)
        folder = folders[at] if 0 <= at < len(folders) else ""
        paths.append(str(PurePosixPath(home, folder, _text(entry.name))))
    return paths


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
