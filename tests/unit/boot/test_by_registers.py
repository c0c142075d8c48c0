# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The phase of silent firmware, by the instruction pointer of a boot that went wrong."""

from __future__ import annotations

import pytest

from harness.boot.by_ledger import with_registers
from harness.evidence.record import PhaseMark
from harness.evidence.symbols.modules import Module


@pytest.mark.parametrize(
    ("rip", "last"),
    [
        ("00000000fffcd000", PhaseMark("sec", 0.5)),
        ("0000000000836513", PhaseMark("pei", 0.5)),
        ("000000007eac4699", PhaseMark("dxe", 0.5)),
        ("000000007f000000", PhaseMark("firmware", 0.5)),
        ("000000000000fff0", PhaseMark("firmware", 0.5)),
    ],
)
def test_the_instruction_pointer_tells_the_phase_of_silent_firmware(rip: str, last: PhaseMark) -> None:
    shown = (PhaseMark("launch", 0.0), PhaseMark("firmware", 0.5))
    images = (Module(0x7EAC4000, "CpuDxe", 0x13000),)
    assert with_registers(shown, f"CPU#0\nRIP={rip} RFL=2\n", images, 9.0) == (shown[0], last)


def test_the_instruction_pointer_tells_nothing_where_a_console_has() -> None:
    shown = (PhaseMark("launch", 0.0), PhaseMark("kernel", 2.0))
    assert with_registers(shown, "RIP=00000000fffcd000", (), 9.0) == shown
    silent = (PhaseMark("launch", 0.0),)
    assert with_registers(silent, "RIP=00000000fffcd000", (), 9.0) == (*silent, PhaseMark("sec", 0.0))
    assert with_registers(silent, "RIP=0000000000836513", (), 9.0) == (*silent, PhaseMark("pei", 9.0))
    assert with_registers(silent, "", (), 9.0) == silent
