# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware's own words about an exception: a RELEASE build's, recorded, and a DEBUG build's."""

from __future__ import annotations

import pytest

from harness.evidence.exception_dump import exception_dump, page_fault_text
from harness.evidence.text import plain_text
from tests.support.data import DATA

RECORDED = plain_text((DATA / "firmware-exception.serial.log").read_bytes())


def test_recorded_page_fault() -> None:
    dump = exception_dump(RECORDED)
    assert dump is not None
    assert (dump.vector, dump.error, dump.cr2, dump.rip) == (14, 2, 0x123456789000, 0x7D988B06)
    assert str(dump) == (
        "#PF (write to a page that is not mapped), error code 0x2, address 0x123456789000, "
        "at 0x7d988b06 (an image+0x1b06)"
    )


def test_a_debug_build_names_the_module() -> None:
    text = RECORDED.replace("(No PDB) ", "/b/Build/OvmfX64/DEBUG_GCC5/X64/CpuDxe/CpuDxe/DEBUG/CpuDxe.dll")
    assert str(exception_dump(text)).endswith("at 0x7d988b06 (CpuDxe+0x1b06)")


def test_code_outside_of_all_images() -> None:
    text = RECORDED.partition("!!!! Find image")[0] + "!!!! Can't find image information. !!!!"
    assert str(exception_dump(text)).endswith("at 0x7d988b06")


@pytest.mark.parametrize("end", ["ExceptionData", "RIP", "CR2", "!!!! X64"])
def test_a_dump_that_was_cut_short_is_none(end: str) -> None:
    assert exception_dump(RECORDED.partition(end)[0]) is None


def test_only_faults_have_an_address() -> None:
    text = RECORDED.replace("0E(#PF - Page-Fault)", "0D(#GP - General Protection)")
    assert str(exception_dump(text)).startswith("#GP, error code 0x2, at 0x7d988b06")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (0x3, "write to a page that is not writable"),
        (0x11, "instruction fetch from a page that is not executable"),
        (0x0, "read of a page that is not mapped"),
        (0x9, "read of a page whose mapping has reserved bits set"),
        (0x80000007, "write to a page that the RMP refuses"),
    ],
)
def test_error_codes(error: int, text: str) -> None:
    assert page_fault_text(error) == text
