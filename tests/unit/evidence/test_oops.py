# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Function and call trace of a kernel that stopped."""

from __future__ import annotations

import pytest

from harness.evidence.linux.oops import Oops, oops_behind
from tests.support.oops import CALLS, CONSOLE, LINE


def test_function_and_calls() -> None:
    assert oops_behind(CONSOLE, LINE) == Oops("pvalidate_pages+0xa2/0x230", CALLS)
    bare = CONSOLE.replace("[    0.000000] ", "")
    assert oops_behind(bare, LINE.partition("] ")[2]) == Oops("pvalidate_pages+0xa2/0x230", CALLS)


@pytest.mark.parametrize("console", ["", LINE, f"{LINE}\n[    0.0] Call Trace:", "another line"])
def test_nothing_behind(console: str) -> None:
    assert oops_behind(console, LINE) == Oops()


def test_what_is_far_behind_is_another_story() -> None:
    far = CONSOLE.replace(f"{LINE}\n", f"{LINE}\n" + "x\n" * 100)
    assert oops_behind(far, LINE) == Oops()
