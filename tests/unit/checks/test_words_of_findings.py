# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which numbers in a finding are none for people; the tests of all mutations ask that of theirs."""

from __future__ import annotations

import pytest

from tests.support.units import wrong_units


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("firmware validated 6442450944 bytes", ["6442450944 bytes", "6442450944"]),
        ("a write of 10737418240 by the kernel", ["10737418240"]),
        ("6 GiB at [0x100000000-0x27fffffff], 1572864 pages", []),
        ("ledger line 83: validate at 0x7f1475b3, t=7.869280 s", []),
        ("descriptors of 48 bytes, version 1", []),
    ],
)
def test_what_is_wrong(text: str, found: list[str]) -> None:
    assert wrong_units(text) == found
