# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Texts whose lines differ in little but numbers, with the numbers apart: small, once they are packed.

The lines of a ledger are alike but for a time, an address and a size. Each is written as the number of its
*form*, the line with a zero byte in the place of each number; the numbers of one place of all lines
follow each other as differences. Times that grow and addresses that go up in steps are then small and alike,
and a general packer does the rest. What comes back is the same text to the byte, or `apart` gives nothing.
By hand, because no packer sees columns in lines of JSON: zstd at its highest level saves a third of this.
"""

from __future__ import annotations

import re
from array import array
from itertools import accumulate
from operator import sub

import msgspec

_NUMBER = re.compile(rb"(?<!\d)(?:0|[1-9]\d{0,17})(?!\d)")
"""What comes back as it was: no leading zero, and differences fit in 64 bits."""
_SLOT = b"\0"
_WIDTH = 8
_LEAST_ALIKE = 8
"""A text with less lines than this to a form is not of the kind that gains."""


class _Apart(msgspec.Struct, frozen=True, array_like=True):
    """``forms`` are distinct lines, ``order`` says which each line is; ``columns`` are numbers by place."""

    forms: tuple[bytes, ...]
    order: bytes
    columns: tuple[bytes, ...]


_DECODER = msgspec.msgpack.Decoder(_Apart)


def apart(text: bytes) -> bytes | None:
    """Return a text with its numbers apart, None for one that gains nothing or would not come back whole."""
    if _SLOT in text or not text:
        return None
    numbers = map(int, _NUMBER.findall(text))
    lines = _NUMBER.sub(_SLOT, text).split(b"\n")
    forms = {form: number for number, form in enumerate(dict.fromkeys(lines))}
    if len(forms) * _LEAST_ALIKE > len(lines):
        return None
    counts = {form: form.count(_SLOT) for form in forms}
    columns: list[list[int]] = [[] for _ in range(max(counts.values()))]
    for line in lines:
        for column, value in zip(columns[: counts[line]], numbers, strict=False):
            column.append(value)
    made = _Apart(
        tuple(forms),
        _by_bytes([forms[line] for line in lines]),
        tuple(_by_bytes([*map(sub, column, [0, *column[:-1]])]) for column in columns),
    )
    return msgspec.msgpack.encode(made)


def together(data: bytes, most: int) -> bytes:
    """Return the text that `apart` made something of; ValueError for what it did not make.

    ``most`` bytes, at most: data from elsewhere may say that a long line is there a million times.
    """
    try:
        made = _DECODER.decode(data)
        order = _from_bytes(made.order)
        columns = [accumulate(_from_bytes(column)) for column in made.columns]
        formats = [form.replace(b"%", b"%%").replace(_SLOT, b"%d") for form in made.forms]
        slots = [columns[: form.count(_SLOT)] for form in made.forms]
        lines, left = [], most + 1
        for form in order:
            line = formats[form] % tuple(map(next, slots[form]))
            left -= len(line) + 1
            if left < 0:
                raise ValueError(f"it becomes more than {most} bytes")
            lines.append(line)
    except (msgspec.MsgspecError, IndexError, TypeError, StopIteration, RuntimeError) as error:
        raise ValueError(f"no text with its numbers apart: {error}") from None
    return b"\n".join(lines)


def _by_bytes(numbers: list[int]) -> bytes:
    """Return numbers with all first bytes first, then all second: the high ones are alike."""
    data = array("q", numbers).tobytes()
    return b"".join(data[byte::_WIDTH] for byte in range(_WIDTH))


def _from_bytes(data: bytes) -> array[int]:
    count, rest = divmod(len(data), _WIDTH)
    if rest:
        raise ValueError(f"{len(data)} bytes are no whole numbers")
    whole = bytearray(len(data))
    for byte in range(_WIDTH):
        whole[byte::_WIDTH] = data[byte * count : (byte + 1) * count]
    numbers = array("q")
    numbers.frombytes(bytes(whole))
    return numbers
