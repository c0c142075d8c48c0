# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Whether a stored boot is the one that a machine would make now."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.boot.driver import digest_of, ingredients_of
from harness.boot.ending import never_started
from harness.boot.same_boot import difference
from harness.errors import HarnessError
from harness.evidence.record import BootRecord
from harness.machine.spec import ConfidentialObject, Drive, MachineSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spec(tmp_path: Path) -> MachineSpec:
    for name in ("qemu", "firmware", "kernel", "initrd", "disk"):
        (tmp_path / name).write_text(name)
    confidential = ConfidentialObject(type="sev-snp-guest", properties=(("policy", "0x30000"),))
    return MachineSpec(
        qemu=tmp_path / "qemu",
        firmware=tmp_path / "firmware",
        kernel=tmp_path / "kernel",
        initrd=tmp_path / "initrd",
        memory_mib=2048,
        accel="tcg",
        confidential=confidential,
        drives=(Drive(path=tmp_path / "disk"),),
    )


def stored(spec: MachineSpec, **changes: Any) -> BootRecord:
    inputs = {name: digest_of(value) for name, value in ingredients_of(spec).items()}
    written = json.loads(json.dumps(asdict(spec), default=str)) | changes
    ending = never_started(1, "")
    return BootRecord(
        path=spec.kernel or spec.qemu, cell="c", platform="p", ending=ending, inputs=inputs, spec=written
    )


def test_the_same(spec: MachineSpec, tmp_path: Path) -> None:
    record = stored(spec)
    assert difference(record, spec) == ""
    (tmp_path / "moved").write_text("kernel")
    assert difference(record, replace(spec, kernel=tmp_path / "moved")) == ""


def test_a_boot_that_talked_added_a_network_and_a_disk(spec: MachineSpec) -> None:
    record = stored(spec, extra=["-netdev", "user"])
    assert difference(record, spec) == ""
    assert difference(record, replace(spec, extra=("-s",))) == "extra"


@pytest.mark.parametrize("name", ["qemu", "firmware", "kernel", "initrd", "disk"])
def test_a_file_that_changed(spec: MachineSpec, tmp_path: Path, name: str) -> None:
    record = stored(spec)
    (tmp_path / name).write_text(f"another {name}")
    assert difference(record, spec) == ("drive0" if name == "disk" else name)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("memory_mib", 4096),
        ("cmdline", "quiet"),
        ("vcpus", 2),
        ("confidential", None),
        ("confidential", ConfidentialObject(type="sev-snp-guest", properties=(("policy", "0x30001"),))),
    ],
)
def test_a_machine_that_changed(spec: MachineSpec, part: str, value: Any) -> None:
    assert difference(stored(spec), replace(spec, **{part: value})) == part


def test_a_boot_that_never_started(spec: MachineSpec) -> None:
    assert difference(replace(stored(spec), inputs={}, spec={}), spec) == "qemu"


def test_a_file_that_is_gone(spec: MachineSpec, tmp_path: Path) -> None:
    record = stored(spec)
    (tmp_path / "kernel").unlink()
    with pytest.raises(HarnessError, match="kernel: no such file"):
        difference(record, spec)
