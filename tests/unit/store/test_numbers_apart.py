# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Numbers apart and together again: the same text to the byte, small, and no harm from what others made."""

from __future__ import annotations

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from harness.store.numbers_apart import apart, together

LINE = b'{"type":"event","t":%d,"op":"validate","gpa":%d,"size":%d,"rip":18446744071587016000}\n'
LEDGER = b"".join(LINE % (n * 61_000 + n * n % 977, n << 21, 4096 << n % 3) for n in range(2000))
MOST = 1 << 20
_WORDS = st.sampled_from(
    [b"0", b"00", b"7", b"007", b"1" * 18, b"1" * 19, b"a", b"%d", b"%", b"-5", b"1.50", b"\n"]
)


def test_there_and_back() -> None:
    made = apart(LEDGER)
    assert made is not None
    assert together(made, MOST) == LEDGER


def test_it_packs_to_a_fraction() -> None:
    made = apart(LEDGER)
    assert made is not None
    assert len(zstandard.compress(made, 9)) * 4 < len(zstandard.compress(LEDGER, 9))


@given(st.lists(_WORDS, max_size=30).map(b" ".join))
def test_whatever_the_line_says_comes_back(line: bytes) -> None:
    text = b"".join(line + b" %d\n" % number for number in range(40))
    made = apart(text)
    assert made is None or together(made, MOST) == text


@given(st.binary(max_size=300))
def test_any_text_comes_back(text: bytes) -> None:
    text *= 20
    made = apart(text)
    assert made is None or together(made, MOST) == text


@pytest.mark.parametrize("text", [b"", b"\0 1\n" * 100, b"".join(b"%c 1\n" % n for n in range(33, 99))])
def test_what_gains_nothing_is_left_alone(text: bytes) -> None:
    assert apart(text) is None


@given(st.binary(max_size=200))
def test_what_is_no_such_text_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"numbers|bytes"):
        together(data, MOST)


@pytest.mark.parametrize(
    "made",
    [
        ([b"\0"], bytes(8), []),
        ([b"\0"], bytes(16), [bytes(8)]),
        ([], bytes(8), []),
        ([b"x"], bytes(7), []),
        ([b"x"], bytes(8), [bytes(9)]),
    ],
    ids=["no column", "column too short", "no form", "half a number", "half a difference"],
)
def test_what_does_not_fit_together_is_an_error(made: object) -> None:
    with pytest.raises(ValueError, match="numbers"):
        together(msgspec.msgpack.encode(made), MOST)


def test_few_bytes_become_no_more_than_they_may() -> None:
    bomb = msgspec.msgpack.encode(([b"x" * 1000], bytes(8 * 10_000), []))
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        together(bomb, MOST)
