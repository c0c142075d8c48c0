# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Addresses of q35: what big memory asks of the CPU model."""

from __future__ import annotations

import pytest

from harness.machine.memory_layout import cpu_with_addresses


@pytest.mark.parametrize(
    ("gib", "bits"),
    [
        (8, None),
        (513, None),
        (970, None),
        (978, None),
        (979, 41),
        (985, 41),
        (994, 41),
        (995, 42),
        (1100, 42),
        (4000, 43),
    ],
)
def test_big_memory_gets_the_address_bits_that_qemu_asks_for(gib: int, bits: int | None) -> None:
    words = "EPYC-v4" if bits is None else f"EPYC-v4,phys-bits={bits}"
    assert cpu_with_addresses("EPYC-v4", gib * 1024) == words
    assert cpu_with_addresses("max,phys-bits=52", gib * 1024) == "max,phys-bits=52"
