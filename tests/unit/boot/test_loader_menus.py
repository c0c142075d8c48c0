# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Menus of loaders at which nobody is: what systemd-boot 252, 257 and 262 sent, and what counts by itself."""

from __future__ import annotations

from typing import Any

import pytest

from harness.boot.ending import judge
from harness.boot.phases import Limit, Phase
from harness.boot.watch import Watch
from harness.evidence.record import Ending, EndingKind

LIMITS = dict.fromkeys(Phase, Limit(60.0, 60.0))
BDS = b"BdsDxe: starting Boot0001\r\n"
PLACE, REVERSE, USUAL = b"\x1b[25;23H", b"\x1b[0m\x1b[30m\x1b[47m", b"\x1b[26;23H\x1b[0m\x1b[37m\x1b[40m"
REBOOT = b"   Reboot Into Firmware Interface   "
BLANK = b"\x1b[27;01H" + b" " * 80
LINE = b"\x1b[26;20H" + "─".encode() * 42
OF_257 = b" \x1b[2J\x1b[01;01H" + PLACE + REVERSE + b"        guest        " + USUAL + REBOOT + BLANK
OF_262 = OF_257.replace(REVERSE, b"\x1b[1m\x1b[30m\x1b[47m" + REVERSE)
NO_AUTO = OF_257.replace(REBOOT, b"")
COUNT = b"\x1b[27;01H" + b" " * 34 + b"Boot in %d s." + b" " * 33 + LINE
COUNT_OF_262 = COUNT.replace(b"%d s", b"%ds")
EMPTY = b" \x1b[2J\x1b[01;01H" + PLACE + REVERSE + REBOOT + b"\x1b[0m\x1b[37m\x1b[40m"


def at(said: bytes, now: float, *, prompts: bool = True, before: bytes = b"") -> Ending | None:
    """Return how a boot has ended, ``now``, that said something 3 s after it was let run."""
    watch = Watch()
    watch.feed("serial", BDS + before, 3.0)
    watch.feed("serial", said, 3.0)
    asked: dict[str, Any] = {"returncode": None, "confidential": False, "qemu_log": "", "limits": LIMITS}
    return judge(watch.seen(), (), now=now, prompts=prompts, **asked)


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (OF_257, 'systemd-boot waits in its menu, at the entry "guest"'),
        (OF_262, 'systemd-boot waits in its menu, at the entry "guest"'),
        (NO_AUTO, 'the loader waits in its menu, at the entry "guest"'),
        (b"\x1b[2J\x1b[7m one \x1b[m two", 'the loader waits in its menu, at the entry "one"'),
    ],
)
def test_a_menu_without_a_person(said: bytes, detail: str) -> None:
    ending = at(said, 8.5)
    assert ending is not None
    assert (ending.kind, ending.phase, ending.detail) == (EndingKind.GAVE_UP, "loader", detail)
    assert at(said, 7.0) is None
    assert at(said, 8.5, prompts=False) is None
    assert at(said + b"\r\nEFI stub: loading\r\n", 8.5) is None


def test_the_status_before_a_menu_is_told() -> None:
    failed = b"../src/boot/boot.c:2557@image_start: Error preparing initrd: Not found"
    ending = at(OF_257, 8.5, before=failed + b"\r\n")
    assert ending is not None
    assert ending.detail.endswith(f"after: {failed.decode()}")


@pytest.mark.parametrize("count", [COUNT, COUNT_OF_262])
def test_a_menu_that_counts_chooses_by_itself(count: bytes) -> None:
    said = OF_257 + b"".join(count % left for left in (10, 9, 2, 1))
    assert at(said, 50.0) is None


@pytest.mark.parametrize("count", [COUNT, COUNT_OF_262, LINE + COUNT])
def test_a_menu_with_nothing_to_start_is_told_at_once(count: bytes) -> None:
    assert at(EMPTY, 3.1) is None
    ending = at(EMPTY + count % 10, 3.1)
    assert ending is not None
    assert (ending.kind, ending.detail) == (EndingKind.GAVE_UP, "systemd-boot found no entry to start")
    assert at(EMPTY + count % 10, 3.1, prompts=False) is None
