# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest's bytes as text that is safe to search and to show.

Whatever a guest prints may end in a report or on a user's terminal: there it must not move the cursor, set
the window's title, or hide what stands beside it.
"""

from __future__ import annotations

import re

# ECMA-48: CSI sequences; command strings (OSC, DCS, APC, PM, SOS) up to their end; other escape sequences.
_SEQUENCES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)|[ -/]*[0-OQ-WYZ\\`-~])"
)
_PICTURES = 0x2400  # U+2400 shows NUL, U+241B ESC
_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)
_SHOWN = (
    {code: _PICTURES + code for code in range(0x20) if chr(code) not in "\t\n"}
    | {0x7F: 0x2421}
    | dict.fromkeys((*range(0x80, 0xA0), *_BIDI, *range(0xD800, 0xE000)), 0xFFFD)
)
_UNSAFE = re.compile(f"[{re.escape(''.join(map(chr, _SHOWN)))}]+")


def plain_text(data: bytes) -> str:
    """Decode console bytes: bad UTF-8 becomes U+FFFD, terminal sequences go, lines end with one newline.

    Control characters that are left become visible ones, as in ``printable``.
    """
    text = _SEQUENCES.sub("", data.decode(errors="replace"))
    return printable(text.replace("\r\n", "\n").replace("\r", "\n"))


def printable(text: str) -> str:
    """Replace what a terminal would act on, except tabs and newlines, by characters that show it."""
    return _UNSAFE.sub(lambda found: found[0].translate(_SHOWN), text)
