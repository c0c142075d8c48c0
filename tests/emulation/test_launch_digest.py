# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The launch digest is the one that hardware measures: sev-snp-measure, which others wrote, foretells it."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sevsnpmeasure.guest import calc_launch_digest
from sevsnpmeasure.sev_mode import SevMode
from sevsnpmeasure.vcpu_types import CPU_SIGS

from harness.platforms.sev.launch_digest import Launch as Measured
from harness.platforms.sev.launch_digest import launch_parts
from tests.support.bare_metal_guest import CPU_MODEL, build, command, run, run_with_qmp

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients

pytestmark = pytest.mark.qemu

ASK = {"execute": "qom-get", "arguments": {"path": "/objects/sev0", "property": "launch-digest"}}
SNP_ACTIVE = 1
POLICY = 0x30000


@dataclass(frozen=True)
class Launch:
    """What is measured besides the firmware."""

    vcpus: int = 1
    cpu: str = "EPYC-v4"
    hashes: bool = False

    def __str__(self) -> str:
        return f"{self.vcpus}-{self.cpu}" + ("-hashes" if self.hashes else "")


LAUNCHES = [
    Launch(),
    Launch(vcpus=4),
    Launch(vcpus=16),
    Launch(vcpus=2, cpu="EPYC-Milan"),
    Launch(vcpus=2, cpu="EPYC-Genoa"),
]
FIRMWARE = ["debian-2022.11", "debian-2025.02", "debian-2026.08", "debian-2026.08-amdsev"]


def arguments(
    qemu: Path, firmware: Path, launch: Launch, files: tuple[Path, Path] | None, more: str = ""
) -> list[str]:
    hashes = ",kernel-hashes=on" if launch.hashes else ""
    snp = f"sev-snp-emulated,id=sev0,cbitpos=51,reduced-phys-bits=1,policy={POLICY:#x}{hashes}{more}"
    line = [
        *(str(qemu), "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-accel", "tcg"),
        *("-machine", "q35,confidential-guest-support=sev0", "-cpu", launch.cpu, "-smp", str(launch.vcpus)),
        *("-m", "1G", "-bios", str(firmware), "-object", snp),
    ]
    if files:
        line += ["-kernel", str(files[0]), "-initrd", str(files[1]), "-append", "console=ttyS0"]
    return line


def measured(line: list[str]) -> str:
    said = run_with_qmp(line, ASK, {"execute": "quit"})
    (digest,) = [answer["return"] for answer in said if isinstance(answer.get("return"), str)]
    return str(digest)


def foretold(firmware: Path, launch: Launch, files: tuple[Path, Path] | None) -> str:
    kernel, initrd, append = (str(files[0]), str(files[1]), "console=ttyS0") if files else ("", "", "")
    signature = CPU_SIGS[launch.cpu]
    digest: bytes = calc_launch_digest(
        SevMode.SEV_SNP, launch.vcpus, signature, str(firmware), kernel, initrd, append, SNP_ACTIVE
    )
    paths = files or (None, None)
    told = Measured(firmware, launch.cpu, launch.vcpus, paths[0], paths[1], append)
    assert launch_parts(told)[-1].digest == digest.hex()
    return digest.hex()


@pytest.mark.parametrize("launch", LAUNCHES, ids=str)
@pytest.mark.parametrize("name", FIRMWARE)
def test_the_digest_is_that_of_hardware(
    name: str, launch: Launch, qemu_binary: Path, ingredients: Ingredients
) -> None:
    firmware = ingredients.firmware(name).path
    assert measured(arguments(qemu_binary, firmware, launch, None)) == foretold(firmware, launch, None)


def test_what_the_cpu_says_of_speculation_is_not_measured(
    qemu_binary: Path, ingredients: Ingredients
) -> None:
    firmware, launch = ingredients.firmware("debian-2025.02").path, Launch(vcpus=2)
    silent = arguments(qemu_binary, firmware, launch, None)
    line = [CPU_MODEL if word == launch.cpu else word for word in silent]
    assert line != silent
    assert measured(line) == foretold(firmware, launch, None)


def test_the_digest_covers_the_hashes_of_the_kernel(
    qemu_binary: Path, ingredients: Ingredients, tmp_path: Path
) -> None:
    firmware = ingredients.firmware("debian-2026.08-amdsev").path
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"an initramfs")
    files = (ingredients.kernel("debian-6.12").path, initrd)
    launch = Launch(vcpus=2, hashes=True)
    first = measured(arguments(qemu_binary, firmware, launch, files))
    assert first == foretold(firmware, launch, files)
    initrd.write_bytes(b"another")
    second = measured(arguments(qemu_binary, firmware, launch, files))
    assert second == foretold(firmware, launch, files)
    assert first != second


def id_block(digest: str, policy: int = POLICY) -> str:
    """Return an ID block (SNP firmware ABI, table "Structure of the ID Block") as the object takes it."""
    block = bytes.fromhex(digest) + bytes(32) + struct.pack("<IIQ", 1, 0, policy)
    return f",id-block={base64.b64encode(block).decode()}"


def test_an_id_block_must_be_the_guests(qemu_binary: Path, tmp_path: Path) -> None:
    image = build(tmp_path)
    plain = command(qemu_binary, image, tmp_path / "debug.log", ending=1)
    digest = measured(plain)

    def end(blob: str) -> str:
        return run(command(qemu_binary, image, tmp_path / "debug.log", blob, ending=1)).stderr

    assert "general termination request" in end(id_block(digest))
    assert "the ID block is refused: its launch digest is not the guest's" in end(id_block("00" * 48))
    assert "the ID block is refused: its policy is not the guest's" in end(id_block(digest, POLICY | 1 << 19))
