# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a guest prints cannot act on a terminal, wherever it is quoted."""

from __future__ import annotations

import json

import pytest

from harness.checks.finding import Finding
from harness.evidence.text import plain_text, printable


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\rb\r\nc\n\td", "a\nb\nc\n\td"),
        ("Grüße ✓".encode(), "Grüße ✓"),
        (b"\xff\xfe\xc3", "\ufffd\ufffd\ufffd"),
        (b"\x1b[2J\x1b[01;01Hmenu\x1b[0m", "menu"),
        (b"\x1b]0;a new title\x07x\x1b]8;;http://a\x1b\\y", "xy"),
        (b"\x1bP+q544e\x1b\\x\x1b_apc\x9c", "x\u241b_apc\ufffd"),
        (b"\x1b(B\x1b7x\x1bc\x1b=", "x"),
        (b"bell\x07 back\x08 del\x7f nul\0", "bell\u2407 back\u2408 del\u2421 nul\u2400"),
        (b"\x1b]52;c;no end\nnext", "\u241b]52;c;no end\nnext"),
        (b"cut \x1b", "cut \u241b"),
        ("c1 \x9b31m, \u202etxt.exe".encode(), "c1 \ufffd31m, \ufffdtxt.exe"),
    ],
)
def test_console_bytes(data: bytes, text: str) -> None:
    assert plain_text(data) == text


def test_many_beginnings_of_sequences_take_no_time() -> None:
    assert len(plain_text(b"\x1b]" * (1 << 20))) == 2 << 20


def test_a_finding_is_safe_to_print() -> None:
    """A guest's JSON can hold what its bytes on the console could not."""
    title = json.loads('"\\u001b]0;mine\\u0007 \\ud800"')
    said = str(Finding("boot", f"the guest says {title}", ("one\ttwo", title)))
    assert (
        said
        == "boot: the guest says \u241b]0;mine\u2407 \ufffd\n    one\ttwo\n    \u241b]0;mine\u2407 \ufffd"
    )
    assert printable("plain\n") == "plain\n"
