# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Kernels made for tests: an ELF file with code and a symbol table of its own, and a bzImage around it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

LINKED = 0xFFFFFFFF81000000
CODE_AT = 0x1000
"""Where in the file the code begins, which is at LINKED."""
CODE_SIZE = 0x10000
Layout = Literal["6.1", "6.12", "6.18", "7.0"]


def symbols(count: int = 3000) -> dict[str, int]:
    """Return so many functions, 16 bytes apart, from the first address on."""
    return {f"Tfunction_{number:05}": LINKED + 16 * number for number in range(count)}


def kernel_elf(layout: Layout = "6.12", code: Mapping[int, bytes] | None = None) -> bytes:
    """Return an ELF file with the symbols of `symbols`, in a layout, and ``code`` at addresses."""
    text = bytearray(CODE_SIZE)
    for address, content in (code or {}).items():
        text[address - LINKED : address - LINKED + len(content)] = content
    tables_at = CODE_AT + CODE_SIZE
    tables = _tables(symbols(), layout, LINKED + CODE_SIZE)
    size = tables_at + len(tables) - CODE_AT
    head = bytearray(CODE_AT)
    head[:4] = b"\x7fELF"
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, 1)
    struct.pack_into("<IIQQQQQQ", head, 64, 1, 5, CODE_AT, LINKED, 0, size, size, 4096)
    return bytes(head + text) + tables


def bzimage(payload: bytes) -> bytes:
    """Return a bzImage of protocol 2.15 that carries a payload."""
    system = -(-len(payload) // 16) * 16 + 0x100
    setup = bytearray(5 * 512)
    setup[0x1F1], setup[0x1FE:0x200], setup[0x202:0x206] = 4, b"\x55\xaa", b"HdrS"
    struct.pack_into("<I", setup, 0x1F4, system // 16)
    struct.pack_into("<H", setup, 0x206, 0x20F)
    struct.pack_into("<II", setup, 0x248, 0x80, len(payload))
    return bytes(setup) + bytes(0x80) + payload + bytes(system - 0x80 - len(payload))


def _tables(named: Mapping[str, int], layout: Layout, at: int) -> bytes:
    """Return the tables as scripts/kallsyms.c writes them, with one token of several letters."""
    tokens = [
        bytes([code]) if chr(code).isalnum() or code == ord("_") else b"xx%02x" % code for code in range(256)
    ]
    tokens[1] = b"function_"
    names, markers = bytearray(), []
    for number, name in enumerate(named):
        if number % 256 == 0:
            markers.append(len(names))
        packed = name.encode().replace(b"function_", b"\x01")
        names += bytes([len(packed)]) + packed
    table = b"".join(token + b"\0" for token in tokens)
    places = [0]
    for token in tokens[:-1]:
        places.append(places[-1] + len(token) + 1)
    step = 4 if layout == "7.0" else 8
    head = _padded(struct.pack("<I", len(named)), step) + _padded(bytes(names), step)
    head += _padded(struct.pack(f"<{len(markers)}I", *markers), step)
    head += _padded(table, step) + _padded(struct.pack("<256H", *places), step)
    base = LINKED - 0x1000
    if layout in {"6.1", "6.12"}:
        offsets = [base - 1 - address for address in named.values()]
    elif layout == "6.18":
        offsets = [address - base for address in named.values()]
    else:
        offsets = [address - (at + len(head) + 4 * number) for number, address in enumerate(named.values())]
    table = _padded(struct.pack(f"<{len(offsets)}i", *offsets), 8)
    if layout == "7.0":
        return head + table
    table += struct.pack("<Q", base)
    return table + head if layout == "6.1" else head + table


def _padded(data: bytes, step: int) -> bytes:
    return data + bytes(-len(data) % step)
