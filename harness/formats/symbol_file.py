# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An ELF file with nothing but function symbols: for debuggers, of a kernel that carries its own table."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.formats.kallsyms import Kallsyms

_X86_64, _EXECUTABLE = 62, 2
_NULL, _SYMTAB, _STRTAB, _NOBITS = 0, 2, 3, 8
_ALLOC_EXEC = 0x6
_HEADER, _SECTION, _SYMBOL = 64, 64, 24
_GLOBAL_FUNCTION = 0x12
_NAMES = b"\0.text\0.symtab\0.strtab\0"


def symbol_file(symbols: Kallsyms) -> bytes:
    """Return an ELF file whose ``.text``, without content, spans all symbols at their linked addresses."""
    first = symbols.addresses[0] if symbols.addresses else 0
    last = symbols.addresses[-1] if symbols.addresses else 0
    strings, table = bytearray(b"\0"), bytearray(_SYMBOL)
    ends = [*symbols.addresses[1:], last][: len(symbols.addresses)]
    for address, end, name in zip(symbols.addresses, ends, symbols.names, strict=True):
        table += struct.pack("<IBBHQQ", len(strings), _GLOBAL_FUNCTION, 0, 1, address, end - address)
        strings += name.encode() + b"\0"
    table_at = _HEADER
    strings_at = table_at + len(table)
    names_at = strings_at + len(strings)
    sections_at = names_at + len(_NAMES)
    sections = (
        _section(0, _NULL),
        _section(1, _NOBITS, flags=_ALLOC_EXEC, address=first, at=_HEADER, size=last - first + 1),
        _section(7, _SYMTAB, at=table_at, size=len(table), link=3, info=1, entry=_SYMBOL),
        _section(15, _STRTAB, at=strings_at, size=len(strings)),
        _section(15, _STRTAB, at=names_at, size=len(_NAMES)),
    )
    header = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, _EXECUTABLE, _X86_64, 1, first, 0, sections_at, 0),
        *(_HEADER, 0, 0, _SECTION, len(sections), len(sections) - 1),
    )
    return bytes(header + table + strings + _NAMES + b"".join(sections))


def _section(
    name: int,
    kind: int,
    *,
    flags: int = 0,
    address: int = 0,
    at: int = 0,
    size: int = 0,
    link: int = 0,
    info: int = 0,
    entry: int = 0,
) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, kind, flags, address, at, size, link, info, 1, entry)
