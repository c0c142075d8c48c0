# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A kernel without a console, such as one that is BOOTX64.EFI: the ledger alone is judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.artifacts.traits import Traits
from harness.checks.asked import WITHOUT_CONSOLE, checks_of
from harness.checks.model import expectation
from harness.evidence.record import Ending, EndingKind
from harness.matrix.cell import Cell
from tests.support import linux_sample

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks.finding import Check


def silent(name: str, folder: Path) -> linux_sample.Sample:
    """Give the record of a boot whose kernel said nothing, which ended in silence."""
    sample = linux_sample.Sample(name, folder)
    (folder / "serial.log").write_bytes(b"")
    sample.document = None
    sample.outcome = Ending(EndingKind.HANG, "kernel", "", "no console byte for 40 s")
    return sample


def asked(sample: linux_sample.Sample) -> dict[str, Check]:
    traits = Traits(linux_sample.FIRMWARE, sample.kernel, console=False)
    cell = Cell("fw", "k", "boot-file", sample.memory_mib, sample.platform)
    return {check.name: check for check in checks_of(expectation(cell, traits))}


@pytest.mark.parametrize("name", ["eager", "lazy", "nothing"])
def test_what_the_ledger_alone_answers_is_asked(name: str, tmp_path: Path) -> None:
    sample = silent(name, tmp_path)
    checks = asked(sample)
    assert next(iter(checks)) == "kernel-ran"
    assert set(checks.values()) <= set(WITHOUT_CONSOLE)
    assert {"ledger-whole", "validated-once", "no-unvalidated-access"} <= set(checks)
    assert {name: sample.judge(check) for name, check in checks.items()} == {name: [] for name in checks}


def test_a_kernel_that_never_ran(tmp_path: Path) -> None:
    sample = silent("lazy", tmp_path)
    sample.ledger = [line for line in sample.ledger if line.get("phase") != "kernel"]
    (finding,) = sample.judge(asked(sample)["kernel-ran"])
    assert finding.kind == "ended"


def test_firmware_that_takes_what_it_should_leave(tmp_path: Path) -> None:
    sample = silent("lazy", tmp_path)
    lines = sample.ledger
    first = next(line for line in lines if line.get("op") == "validate" and line["phase"] == "firmware")
    sample.ledger = [*lines[:-1], {**first, "gpa": 1 << 32}, lines[-1]]
    (finding,) = sample.judge(asked(sample)["firmware-left-high"])
    assert finding.kind == "validated-by-firmware"


def test_traits_of_before_had_a_console() -> None:
    traits = Traits(linux_sample.FIRMWARE, linux_sample.K612)
    told = traits.to_json()
    assert Traits.from_json(replace(traits, console=False).to_json()).console is False
    del told["console"]
    assert Traits.from_json(told).console is True
