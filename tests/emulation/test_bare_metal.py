# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The emulation's rules, asked one by one by a bare-metal guest of ours (``bare_metal/``)."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from tests.support.bare_metal_guest import build, command, rules, run

if TYPE_CHECKING:
    from pathlib import Path

NAMES = rules()
FAULTS_TOLD = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bare-metal")


@pytest.fixture(scope="module")
def said(qemu_binary: Path, folder: Path) -> dict[str, str]:
    """Give what the guest said of each rule: "ok", or what it saw."""
    debug = folder / "debug.log"
    done = run(command(qemu_binary, build(folder), debug, f",ledger={folder / 'ledger.jsonl'}"))
    said = debug.read_text()
    assert said.endswith("end of tests\n"), said + done.stderr
    (folder / "stderr.log").write_text(done.stderr)
    lines = [line for line in said.splitlines() if line.startswith(("ok ", "FAIL "))]
    answers = {}
    for line in lines:
        words = line.removeprefix("ok ").removeprefix("FAIL ")
        name = max((name for name in NAMES if words.startswith(name)), key=len)
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
        "version": 2,
        "page-size": 4096,
        "ram": [[0, 256 << 20]],
    }
    totals = lines[-1]["pages"]
    for op in totals:
        counted = sum(line["size"] // 4096 for line in lines if line.get("op") == op and "size" in line)
        assert counted == sum(totals[op].values()), op
    # of each kind the first ones are told, all are counted
    assert min(lines[-1]["faults"], FAULTS_TOLD) == sum(line["type"] == "fault" for line in lines)
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
@pytest.mark.parametrize(
    ("offset", "words", "told"),
    [
        (12, (5000,), "SEV metadata is cut short: 5000 sections in 52 bytes"),
        (16, (0x80000000, 0x1000), "section 0 (0x80000000+0x1000) is not in guest memory"),
        (16, (0xFFFFF000, 0x2000), "section 0 (0xfffff000+0x2000) is not in guest memory"),
        (16, (0x100800, 0x1000), "section 0 (0x100800+0x1000) is not in guest memory"),
    ],
)
def test_firmware_with_damaged_sev_metadata_is_refused(
    offset: int, words: tuple[int, ...], told: str, qemu_binary: Path, tmp_path: Path
) -> None:
    """Offsets are OVMF's: number of sections, then base and size of the first."""
    image = build(tmp_path)
    data = bytearray(image.read_bytes())
    struct.pack_into(f"<{len(words)}I", data, data.index(b"ASEV") + offset, *words)
    image.write_bytes(data)
    ledger = tmp_path / "ledger.jsonl"
    done = run(command(qemu_binary, image, tmp_path / "debug.log", f",ledger={ledger}"))
    assert done.returncode == 1
    assert told in done.stderr


@pytest.mark.qemu
@pytest.mark.parametrize("position", [31, 52, 200])
def test_a_c_bit_that_memory_needs_or_page_tables_lack_is_refused(
    position: int, qemu_binary: Path, tmp_path: Path
) -> None:
    line = command(qemu_binary, build(tmp_path), tmp_path / "debug.log")
    done = run([word.replace("cbitpos=51", f"cbitpos={position}") for word in line])
    assert done.returncode == 1
    assert f"cbitpos={position} is no free address bit" in done.stderr


@pytest.mark.qemu
def test_a_ledger_that_cannot_be_written_is_told(qemu_binary: Path, tmp_path: Path) -> None:
    done = run(command(qemu_binary, build(tmp_path), tmp_path / "debug.log", ",ledger=/dev/full"))
    assert "ledger '/dev/full' could not be written" in done.stderr


@pytest.mark.qemu
def test_firmware_without_sev_metadata_is_refused(qemu_binary: Path, tmp_path: Path) -> None:
    image = build(tmp_path)
    image.write_bytes(image.read_bytes().replace(b"ASEV", b"VESA"))
    done = run(command(qemu_binary, image, tmp_path / "debug.log"))
    assert done.returncode == 1
    assert "the firmware carries no SEV metadata" in done.stderr
