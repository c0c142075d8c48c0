# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What somebody may send in place of what the harness writes: bytes and JSON, broken in all kinds of ways."""

from __future__ import annotations

import copy
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

Edit = tuple[float, int, bytes]
"""Where (a part of the whole), how many bytes go, which come in their place."""

DEEP = "deep"
"""Stands for a value that nests more deeply than any parser should follow."""
_DEPTH = 100_000
_WORDS = st.sampled_from(
    [b"", b"\0", b"\n", b"\xff" * 8, b"-1", b"0x", b"9" * 30, b"{", b"[" * 50, b'"', b"mem", b"\x1b[2J"]
)
EDITS: st.SearchStrategy[list[Edit]] = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 400), st.one_of(_WORDS, st.binary(max_size=40))),
    min_size=1,
    max_size=4,
)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from([DEEP, [], {}, [[]], {"": None}, "../../x", "\ud800", ["a", 1, None], {"a": {"b": []}}]),
)
CHANGES: st.SearchStrategy[list[tuple[list[int], Any]]] = st.lists(
    st.tuples(st.lists(st.integers(0, 1 << 16), max_size=6), VALUES), min_size=1, max_size=3
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """Return data with parts of it replaced."""
    for place, gone, new in edits:
        at = int(place * len(data))
        data = data[:at] + new + data[at + gone :]
    return data


def changed(document: Any, changes: list[tuple[list[int], Any]]) -> bytes:
    """Return a JSON document with values replaced, found by walking down it; ``DEEP`` nests for ever."""
    whole = [copy.deepcopy(document)]
    for steps, value in changes:
        holder: Any = whole
        key: Any = 0
        for step in steps:
            inner = holder[key]
            if isinstance(inner, dict) and inner:
                holder, key = inner, sorted(inner, key=str)[step % len(inner)]
            elif isinstance(inner, list) and inner:
                holder, key = inner, step % len(inner)
        holder[key] = copy.deepcopy(value)
    text = json.dumps(whole[0])
    return text.replace(f'"{DEEP}"', "[" * _DEPTH + "]" * _DEPTH).encode("utf-8", "surrogatepass")


SEED = "HARNESS_FUZZ_SEED"
"""Names the examples of a long form: a number; without it, the day's, so that each night meets others."""


def fuzz(
    strategy: st.SearchStrategy[Any], check: Callable[[Any], object], examples: int, *, fixed: bool
) -> None:
    """Let ``check`` meet so many examples, ``fixed``: the same each time; what it raises fails the test.

    The failure has the example, and the seed that makes the same ones again. Neither the time that an example
    takes nor where it was found before counts: a host with other work accuses nobody.
    """
    chosen = 0 if fixed else int(os.environ.get(SEED) or datetime.now(UTC).date().toordinal())

    @seed(chosen)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=True,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(strategy)
    def run(value: Any) -> None:
        try:
            check(value)
        except BaseException as error:
            error.add_note(f"{SEED}={chosen}, and this example: {value!r:.2000}")
            raise

    run()
