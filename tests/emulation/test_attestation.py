# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Linux's own driver asks the emulation for attestation reports and keys (SEV-SNP firmware ABI)."""

from __future__ import annotations

import base64
import lzma
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sevsnpmeasure.guest import calc_launch_digest
from sevsnpmeasure.sev_mode import SevMode
from sevsnpmeasure.vcpu_types import CPU_SIGS

from harness.formats.cpio import CpioEntry, cpio_archive
from harness.store.file_tree import only

if TYPE_CHECKING:
    from harness.artifacts.ingredients import Ingredients

pytestmark = pytest.mark.qemu

SOURCE = Path(__file__).parent / "sev_guest/init.c"
MODULES = (
    *("lib/crypto/gf128mul", "crypto/ghash-generic", "crypto/crypto_null", "crypto/gcm"),
    *("fs/configfs/configfs", "drivers/virt/coco/tsm", "drivers/virt/coco/sev-guest/sev-guest"),
)
"""Of 6.12's package, each after what it depends on."""

OBJECT = "sev-snp-emulated,id=sev0,cbitpos=51,reduced-phys-bits=1,policy=0xb0000,hypervisor=spec"
HOST_DATA = bytes(range(32))
SECONDS = 300
INVALID_LEN = 1 << 32
"""SW_EXITINFO2 of an extended request with too little room for certificates."""


@dataclass(frozen=True)
class Answer:
    """What one request gave: errno, SW_EXITINFO2, data."""

    error: int
    exitinfo2: int
    data: bytes


def archive(ingredients: Ingredients, folder: Path) -> Path:
    """Pack /init, and the modules from the kernel's own package."""
    program = folder / "init"
    subprocess.run(["gcc", "-O2", "-static", "-s", "-o", str(program), str(SOURCE)], check=True)
    queries = (query for query in ingredients.queries() if query.package.startswith("linux-image-6.12"))
    query = next(query for query in queries if query.suite == "trixie")
    package = ingredients.lock.require(query)
    entries = [CpioEntry(name, stat.S_IFDIR | 0o755) for name in ("dev", "modules")]
    entries.append(CpioEntry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    entries.append(CpioEntry("init", stat.S_IFREG | 0o755, program.read_bytes()))
    for number, module in enumerate(MODULES):
        pattern = f"usr/lib/modules/*/kernel/{module}.ko.xz"
        data = lzma.decompress(only(ingredients.apt.extract(package, [pattern]).path, pattern).read_bytes())
        entries.append(CpioEntry(f"modules/{number}.ko", stat.S_IFREG | 0o644, data))
    path = folder / "initramfs.cpio"
    path.write_bytes(cpio_archive(entries))
    return path


@pytest.fixture(scope="module")
def answers(ingredients: Ingredients, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    folder = tmp_path_factory.mktemp("attestation")
    host_data = base64.b64encode(HOST_DATA).decode()
    done = subprocess.run(
        [
            *(str(ingredients.qemu), "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none"),
            *("-machine", "q35,confidential-guest-support=sev0", "-accel", "tcg", "-cpu", "EPYC-v4"),
            *("-m", "1G", "-no-reboot", "-serial", "stdio", "-monitor", "none"),
            *("-object", f"{OBJECT},host-data={host_data}"),
            *("-bios", str(ingredients.firmware("debian-2025.02").path)),
            *("-kernel", str(ingredients.kernel("debian-6.12").path)),
            *("-initrd", str(archive(ingredients, folder)), "-append", "console=ttyS0 quiet"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "end of answers" in done.stdout, done.stdout + done.stderr
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) in {3, 4} and words[1].isdecimal():
            found[words[0]] = Answer(int(words[1]), int(words[2], 16), bytes.fromhex("".join(words[3:])))
        elif len(words) == 2 and words[0].endswith("-length"):
            found[words[0]] = Answer(0, int(words[1]), b"")
    return found


def number(data: bytes, offset: int, size: int = 4) -> int:
    return int.from_bytes(data[offset : offset + size], "little")


def test_the_driver_loads(answers: dict[str, Answer]) -> None:
    assert answers["open"] == Answer(0, 0, b"")


@pytest.mark.parametrize(
    ("name", "first", "vmpl"), [("report", 1, 0), ("report-vmpl", 2, 2), ("report-last", 4, 0)]
)
def test_a_report(answers: dict[str, Answer], name: str, first: int, vmpl: int) -> None:
    answer = answers[name]
    assert (answer.error, answer.exitinfo2) == (0, 0)
    response, report = answer.data[:32], answer.data[32:]
    assert (number(response, 0), number(response, 4), len(report)) == (0, 0x4A0, 0x4A0)
    assert (number(report, 0), number(report, 8, 8), number(report, 0x30)) == (2, 0xB0000, vmpl)
    assert report[0x50:0x90] == bytes(range(first, first + 64))
    assert report[0xC0:0xE0] == HOST_DATA


def test_a_report_says_that_it_is_not_signed(answers: dict[str, Answer]) -> None:
    report = answers["report"].data[32:]
    assert number(report, 0x48) >> 2 & 7 == 7  # SIGNING_KEY: none
    assert number(report, 0x34) == 0
    assert report[0x2A0:] == bytes(512)


def test_the_measurement_is_that_of_the_launch(answers: dict[str, Answer], ingredients: Ingredients) -> None:
    measured = answers["report"].data[32:][0x90:0xC0]
    firmware = str(ingredients.firmware("debian-2025.02").path)
    assert measured == calc_launch_digest(SevMode.SEV_SNP, 1, CPU_SIGS["EPYC-v4"], firmware, "", "", "", 1)


def test_no_report_for_a_vmpl_that_does_not_exist(answers: dict[str, Answer]) -> None:
    answer = answers["report-no-vmpl"]
    assert (answer.error, number(answer.data, 0), number(answer.data, 4)) == (0, 0x16, 0)


def test_keys(answers: dict[str, Answer]) -> None:
    one, again, measured = (answers[name] for name in ("key", "key-again", "key-measured"))
    assert [key.error for key in (one, again, measured)] == [0, 0, 0]
    assert one.data == again.data
    assert one.data[32:] != measured.data[32:]
    assert any(one.data[32:])


def test_extended_reports_have_no_certificates(answers: dict[str, Answer]) -> None:
    assert answers["extended"] == Answer(0, 0, bytes(24))
    short = answers["extended-short"]
    assert short.error
    assert short.exitinfo2 == INVALID_LEN
    assert answers["extended-short-length"].exitinfo2 == 4096
