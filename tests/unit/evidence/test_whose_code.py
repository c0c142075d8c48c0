# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whose code an event is, where the kernel's PE image was loaded without its header."""

from __future__ import annotations

from harness.evidence.ledger_model import Event, ExitCall, Fault, Ledger, Phase
from harness.evidence.memory_map import MemoryDescriptor
from harness.evidence.symbols.whose_code import attributed
from harness.intervals import IntervalSet

STUB, UNPACKED, DRIVER = 0x7CDF_0000, 0x2840_0000, 0x7ECA_B000
MAP = (
    MemoryDescriptor("Loader Code", frozenset(), 0x2820_0000, 0x2BE0_0000),
    MemoryDescriptor("Loader Code", frozenset(), 0x7C0C_A000, 0x7CE7_5000),
    MemoryDescriptor("Boot Code", frozenset(), 0x7EC0_0000, 0x7ED0_0000),
)
HIGH = 0x1_0000_0000
CALL = ExitCall(1, 0, 1, STUB, "firmware", line=4, status=0, returned=6)


def event(line: int, rip: int, phase: Phase = "firmware") -> Event:
    return Event(0, 0, "validate", HIGH, 4096, 1, 4096, rip, 0, phase, line)


def phases(ledger: Ledger) -> list[Phase]:
    return [event.phase for event in ledger.events]


def ledger(*events: Event, call: ExitCall = CALL) -> Ledger:
    return Ledger(4096, IntervalSet.span(0, 1 << 33), None, events, exits=(call,))


def test_the_code_that_leaves_boot_services_is_the_stub_s() -> None:
    before, drivers, at_exit = event(2, STUB - 16), event(3, DRIVER), event(5, DRIVER, "firmware-ebs")
    after, early, late = event(7, STUB + 16), event(8, UNPACKED), event(9, -1 % (1 << 64), "kernel")
    own, runtime = event(10, UNPACKED), event(11, DRIVER)
    told = attributed(ledger(before, drivers, at_exit, after, early, late, own, runtime), MAP)
    assert phases(told) == [
        "efi-stub", "firmware", "firmware-ebs", "efi-stub", "kernel", "kernel", "kernel", "firmware"
    ]  # fmt: skip
    assert [call.phase for call in told.exits] == ["efi-stub"]
    assert told.validated_by("firmware") & IntervalSet.span(
        HIGH, HIGH + 4096
    )  # the driver's is the firmware's


def test_without_a_map_only_what_comes_after_the_exit_is_known() -> None:
    told = attributed(ledger(event(2, STUB), event(7, STUB)), ())
    assert phases(told) == ["firmware", "kernel"]


def test_a_firmware_that_leaves_boot_services_itself_stays_the_firmware() -> None:
    call = ExitCall(1, 0, 1, DRIVER, "firmware", line=4, status=0, returned=6)
    told = attributed(ledger(event(3, DRIVER), event(7, UNPACKED), call=call), MAP, "loader")
    assert phases(told) == ["firmware", "kernel"]
    assert told.exits == (call,)


def test_without_a_granted_exit_nothing_is_read_into_it() -> None:
    refused = ExitCall(1, 0, 1, DRIVER, "loader", line=4, status=2, returned=6)
    assert phases(attributed(ledger(event(7, UNPACKED), call=refused), MAP)) == ["firmware"]


def test_a_fault_of_the_stub_is_not_the_firmware_s() -> None:
    fault = Fault(0, 0, "unvalidated-access", HIGH, STUB, 0, "read", "firmware", line=3)
    told = attributed(Ledger(4096, IntervalSet(), None, faults=(fault,), exits=(CALL,)), MAP)
    assert [fault.phase for fault in told.faults] == ["efi-stub"]
