# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The symbol table that a Linux kernel carries for its own messages, read from the unpacked image.

Written from Linux ``kernel/kallsyms.c`` and ``scripts/kallsyms.c``. No symbol names the tables; their shapes
do: the tokens of the ten digits stand in a row, the markers begin with 0 and grow, and counts agree. Before
Linux 6.4 the offsets and their base come before the names, since then behind the tokens; since 7.0 each is
relative to its own place. ``System.map`` holds the same symbols, one a line, beside the image.
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.formats.linux_payload import bytes_at, segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
_TOKENS = 256
_MARKED = 256
"""One marker for so many names."""
_REACH = 8 << 20
"""The names and their markers lie at most so many bytes before the tokens."""
_LEAST_SYMBOLS, _MOST_SYMBOLS = 2_000, 2_000_000
_KERNEL = range(0xFFFFFFFF80000000, 0xFFFFFFFFC0000000)
"""Where x86 kernels are linked."""
_CODE = frozenset("tTwW")
_MAP_LINE = re.compile(r"([0-9a-f]{16}) (\S) (\S+)")
_BANNER = "linux_banner"
_ELSEWHERE = re.compile(r"The real System\.map is in the (\S+) package")
_ALIASES = ("__pfx_", "__pi_", "__cfi_")
"""Beginnings of second names for one place."""


@dataclass(frozen=True)
class Kallsyms:
    """Addresses as they are linked, ascending, each with its name; code alone."""

    addresses: Sequence[int]
    names: Sequence[str]

    def place(self, address: int) -> str:
        """Return ``name()+0x1c`` for an address as linked, "" where no symbol is before it."""
        at = bisect_right(self.addresses, address) - 1
        return f"{self.names[at]}()+{address - self.addresses[at]:#x}" if at >= 0 else ""


def read_kallsyms(image: bytes) -> Kallsyms:
    """Return the code symbols of an unpacked kernel; HarnessError where it has no table that is read here."""
    for match in re.finditer(re.escape(_DIGITS), image):
        tokens, tokens_start, behind = _tokens(image, match.start())
        if not tokens:
            continue
        for count, start in _names_before(image, tokens_start):
            names = list(_names(image, start, count, tokens))
            offsets = _offsets(image, count, start - 8, behind)
            if len(names) == count and offsets:
                return code_symbols(names, offsets)
    raise HarnessError(
        "the kernel carries no symbol table that is read here",
        "build it with CONFIG_KALLSYMS, or name a vmlinux",
    )


def read_system_map(text: str, elf: bytes, what: str) -> Kallsyms:
    """Return the code symbols of a map; HarnessError, beginning with ``what``, for one of another kernel.

    ``elf``: the unpacked kernel, which has its version where its own map says. Debian's map is a line
    that names a package.
    """
    if (package := _ELSEWHERE.search(text[:4096])) is not None:
        raise HarnessError(f"{what} only says that the real one is in the package {package[1]}")
    found = [(int(it[1], 16), it[2], it[3]) for it in map(_MAP_LINE.fullmatch, text.splitlines()) if it]
    banner = next((address for address, _, name in found if name == _BANNER), None)
    if banner is None or not bytes_at(elf, banner, 14).startswith(b"Linux version "):
        raise HarnessError(f"{what} is of another kernel: this one has no version where it says")
    return code_symbols([kind + name for _, kind, name in found], [address for address, _, _ in found])


def code_symbols(names: Sequence[str], offsets: Sequence[int]) -> Kallsyms:
    """Return the code of symbols, each named with its kind's letter first, as nm(1) has it: ``Tname``."""
    found: dict[int, str] = {}
    for name, address in zip(names, offsets, strict=True):
        if name[0] in _CODE and address in _KERNEL:
            known = found.get(address, "")
            if not known or known.startswith(_ALIASES):
                found[address] = name[1:]
    addresses = sorted(found)
    return Kallsyms(addresses, [found[address] for address in addresses])


def _tokens(image: bytes, digits: int) -> tuple[list[bytes], int, int]:
    """Return the tokens whose digits stand at an offset, where they begin, and where their index ends."""
    start = digits
    for _ in range(ord("0")):
        start = image.rfind(b"\0", 0, start - 1) + 1
    tokens, at = [], start
    places = []
    for _ in range(_TOKENS):
        end = image.find(b"\0", at)
        if end < 0:
            return [], 0, 0
        places.append(at - start)
        tokens.append(image[at:end])
        at = end + 1
    index = struct.pack(f"<{_TOKENS}H", *(place & 0xFFFF for place in places))
    # What ends before the tokens ends in zeros, which look like empty tokens; the index decides.
    found = image.find(index, at, at + 64 + len(index))
    return (tokens, start, found + len(index)) if found >= 0 else ([], 0, 0)


def _names_before(image: bytes, tokens: int) -> Iterator[tuple[int, int]]:
    """Yield the numbers of names that may stand before the tokens, each with where the names begin."""
    low = max(0, tokens - _REACH) & ~7
    words = array("I", image[low : low + ((tokens - low) & ~3)])
    for at in range(len(words) - 3, 0, -1):
        if words[at] or not 500 <= words[at + 1] <= 20_000:
            continue
        end = at + 1
        while end < len(words) and 500 <= words[end] - words[end - 1] <= 20_000:
            end += 1
        markers = end - at
        if markers * _MARKED < _LEAST_SYMBOLS:
            continue
        yield from _heads(image, low + 4 * at, words[at + 1], words[end - 1], markers)


def _heads(image: bytes, markers_at: int, second: int, last: int, markers: int) -> Iterator[tuple[int, int]]:
    """Yield the numbers of names that make so many markers, where the second marker fits the names."""
    first = (markers_at - last - 20_000) & ~7
    for place in range(max(0, first), markers_at - last, 4):
        (count,) = struct.unpack_from("<I", image, place)
        if not (markers - 1) * _MARKED < count <= markers * _MARKED <= _MOST_SYMBOLS:
            continue
        for start in (place + 4, place + 8):  # aligned to four bytes since 7.0
            if _skip(image, start, _MARKED) == start + second:
                yield count, start


def _skip(image: bytes, at: int, names: int) -> int:
    for _ in range(names):
        length = image[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | image[at] << 7
            at += 1
        at += length
    return at


def _names(image: bytes, at: int, count: int, tokens: Sequence[bytes]) -> Iterator[str]:
    for _ in range(count):
        end = _skip(image, at, 1)
        at += 2 if image[at] & 0x80 else 1
        yield b"".join(tokens[byte] for byte in image[at:end]).decode("ascii", "replace") or "?"
        at = end


def _offsets(image: bytes, count: int, head: int, behind: int) -> list[int]:
    """Return the symbols' addresses: from before the number of names, or from behind the tokens."""
    size = -(-count * 4 // 8) * 8
    later = -(-behind // 8) * 8
    for start, base_at in ((later, later + size), (-(-behind // 4) * 4, 0), (head - 8 - size, head - 8)):
        if start < 0 or start + size > len(image) or base_at + 8 > len(image):
            continue
        values = array("i", image[start : start + 4 * count])
        (base,) = struct.unpack_from("<Q", image, base_at)
        for found in _addresses(values, base, _address_of(image, start)):
            if _plausible(found):
                return found
    return []


def _address_of(image: bytes, offset: int) -> int:
    """Return the address of what is at an offset of the file, 0 for what is not loaded."""
    inside = (it for it in segments(image) if it.offset <= offset < it.offset + it.size)
    return next((it.address + offset - it.offset for it in inside), 0)


def _addresses(values: array[int], base: int, place: int) -> Iterator[list[int]]:
    """Yield the addresses by each rule that kernels have had.

    Negative numbers count down from the base, others are of per-CPU data (CONFIG_KALLSYMS_ABSOLUTE_PERCPU);
    all are relative to the base; each is relative to its own ``place``.
    """
    if base in _KERNEL:
        yield [base - 1 - value if value < 0 else value for value in values]
        yield [base + (value & 0xFFFFFFFF) for value in values]
    if place:
        yield [place + 4 * number + value for number, value in enumerate(values)]


def _plausible(addresses: Sequence[int]) -> bool:
    """Return whether most addresses are of a kernel, ascending as the table is sorted."""
    kernel = [address for address in addresses if address in _KERNEL]
    rising = sum(a <= b for a, b in pairwise(kernel))
    return len(kernel) > 0.5 * len(addresses) and rising > 0.95 * len(kernel)
