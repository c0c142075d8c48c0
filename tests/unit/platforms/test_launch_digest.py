# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The launch digest in parts, and what explains another one; tests/emulation has real firmware."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sevsnpmeasure.guest import calc_launch_digest
from sevsnpmeasure.sev_mode import SevMode
from sevsnpmeasure.vcpu_types import CPU_SIGS

from harness.errors import HarnessError
from harness.platforms.sev.launch_digest import Launch, differences, launch_of, launch_parts
from tests.support.launch_image import SPEC, image


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_text(name)
    return Launch(image(tmp_path), "EPYC-v4", 2, tmp_path / "kernel", tmp_path / "initrd", "quiet")


def digest(launch: Launch) -> str:
    return launch_parts(launch)[-1].digest


def test_what_is_measured_of_a_machine() -> None:
    whole = Launch(Path("/f"), "EPYC-Milan", 3, Path("/k"), Path("/i"), "quiet")
    assert launch_of(SPEC) == whole
    assert launch_of(replace(SPEC, measured_kernel=False)) == Launch(Path("/f"), "EPYC-Milan", 3)
    with pytest.raises(HarnessError, match="nobody measures a plain guest"):
        launch_of(replace(SPEC, confidential=None))
    with pytest.raises(
        HarnessError, match=r"the CPU model 'EPYC-Milam' has no signature known\n.*EPYC-Milan"
    ):
        launch_of(replace(SPEC, cpu="EPYC-Milam"))


def test_parts_follow_one_another_to_the_digest(launch: Launch) -> None:
    parts = launch_parts(launch)
    assert [(part.name, part.gpa, part.pages) for part in parts] == [
        ("firmware image", 0xFFFF_0000, 16),
        ("zero pages", 0x80_0000, 1),
        ("secrets page", 0x80_1000, 1),
        ("CPUID page", 0x80_2000, 1),
        ("kernel hashes", 0x80_3000, 1),
        ("vCPU 0", None, 1),
        ("vCPU 1", None, 1),
    ]
    assert len({part.digest for part in parts}) == len(parts)
    files = (str(launch.firmware), str(launch.kernel), str(launch.initrd), launch.cmdline)
    whole = calc_launch_digest(SevMode.SEV_SNP, 2, CPU_SIGS["EPYC-v4"], *files, 1)
    assert parts[-1].digest == whole.hex()


def test_what_explains_another_digest(launch: Launch) -> None:
    assert differences(launch, digest(launch)) == ()
    assert differences(launch, digest(replace(launch, vcpus=7))) == ("it has 7 vCPUs, not 2",)
    assert differences(launch, digest(replace(launch, cpu="EPYC-Genoa-v1", kernel=None))) == (
        "its CPU model has the signature of EPYC-Genoa, not of EPYC-v4",
        "no kernel is measured",
    )
    assert differences(launch, digest(replace(launch, initrd=None))) == ("it has no initramfs",)
    assert differences(launch, digest(replace(launch, cmdline=""))) == ("it has no command line",)
    other = digest(replace(launch, cmdline="noisy"))
    (told,) = differences(launch, other)
    assert told.startswith("it is no digest of these files, with up to 512 vCPUs, and any CPU model known: ")


def test_firmware_that_cannot_be_launched(launch: Launch, tmp_path: Path) -> None:
    none = tmp_path / "none.fd"
    none.write_bytes(bytes(0x10000))
    with pytest.raises(HarnessError, match=r"none.fd: no firmware of SNP guests \(.*RESET_BLOCK"):
        launch_parts(replace(launch, firmware=none))
    image(tmp_path, ())
    with pytest.raises(HarnessError, match=r"OVMF.fd: it does not say what the hypervisor must prepare"):
        launch_parts(launch)
    image(tmp_path, (1,))
    with pytest.raises(HarnessError, match=r"OVMF.fd: it has no page for the hashes of a kernel"):
        launch_parts(launch)
