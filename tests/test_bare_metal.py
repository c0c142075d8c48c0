# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The emulation's rules, asked one by one by a bare-metal guest of ours (``bare_metal/``)."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "bare_metal"
NAMES = re.findall(r'TEST\("([^"]+)"\)', (HERE / "snp.c").read_text())
SECTIONS = (".text", ".tables", ".metadata", ".reset", ".guids")
SECONDS = 60


def build(folder: Path) -> Path:
    elf, image = folder / "snp.elf", folder / "snp.fd"
    subprocess.run(
        [
            *("gcc", "-m64", "-O1", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-static"),
            *("-fno-pic", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-mno-red-zone"),
            *("-mgeneral-regs-only", "-mcmodel=large", "-Wl,-T,image.ld", "-Wl,--build-id=none"),
            *("-Wl,-z,noexecstack", "-o", str(elf), "start.S", "snp.c"),
        ],
        cwd=HERE,
        check=True,
    )
    sections = [word for name in SECTIONS for word in ("-j", name)]
    subprocess.run(
        ["objcopy", "-O", "binary", *sections, "--gap-fill", "0xf4", str(elf), str(image)], check=True
    )
    return image


def machine(qemu: Path, image: Path, ledger: Path) -> list[str]:
    return [
        *(str(qemu), "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
        *("-machine", "q35,vmport=off,confidential-guest-support=sev0", "-accel", "tcg", "-cpu", "EPYC-v4"),
        *("-m", "256M", "-bios", str(image)),
        *("-object", f"sev-snp-emulated,id=sev0,cbitpos=51,reduced-phys-bits=1,ledger={ledger}"),
        *("-chardev", "stdio,id=debug", "-device", "isa-debugcon,iobase=0x402,chardev=debug"),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bare-metal")


@pytest.fixture(scope="module")
def said(qemu_binary: Path, folder: Path) -> dict[str, str]:
    """Give what the guest said of each rule: "ok", or what it saw."""
    done = subprocess.run(
        machine(qemu_binary, build(folder), folder / "ledger.jsonl"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout.endswith("end of tests\n"), done.stdout + done.stderr
    (folder / "stderr.log").write_text(done.stderr)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAIL "))]
    answers = {}
    for line in lines:
        name = next(name for name in NAMES if line.removeprefix("ok ").removeprefix("FAIL ").startswith(name))
        answers[name] = "ok" if line == f"ok {name}" else line
    return answers


@pytest.mark.qemu
@pytest.mark.parametrize("name", NAMES)
def test_rule(name: str, said: dict[str, str]) -> None:
    assert said.get(name, "the guest said nothing of it") == "ok"


@pytest.mark.qemu
def test_ledger_agrees_with_its_totals(said: dict[str, str], folder: Path) -> None:
    assert said
    lines = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert lines[0] == {
        "type": "header",
        "format": "snp-ledger",
        "version": 1,
        "page-size": 4096,
        "ram": [[0, 256 << 20]],
    }
    totals = lines[-1]["pages"]
    for op in totals:
        counted = sum(line["size"] // 4096 for line in lines if line.get("op") == op and "size" in line)
        assert counted == sum(totals[op].values()), op
    assert lines[-1]["faults"] == sum(line["type"] == "fault" for line in lines)
    assert {line["phase"] for line in lines if "phase" in line} == {"launch", "firmware"}


@pytest.mark.qemu
def test_termination_ends_the_machine_and_is_told(said: dict[str, str], folder: Path) -> None:
    assert said
    told = "SNP guest requested termination: 0x1:0x2 PVALIDATE failed"
    assert told in (folder / "stderr.log").read_text()
    lines = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    ends = [line for line in lines if line["type"] == "terminate"]
    assert [(end["set"], end["code"], end["text"]) for end in ends] == [(1, 2, "PVALIDATE failed")]


@pytest.mark.qemu
def test_firmware_without_sev_metadata_is_refused(qemu_binary: Path, tmp_path: Path) -> None:
    image = build(tmp_path)
    image.write_bytes(image.read_bytes().replace(b"ASEV", b"VESA"))
    done = subprocess.run(
        machine(qemu_binary, image, tmp_path / "ledger.jsonl"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "the firmware carries no SEV metadata" in done.stderr
