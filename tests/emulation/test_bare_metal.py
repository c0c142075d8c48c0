# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The emulation's rules, asked one by one by a bare-metal guest of ours (``bare_metal/``)."""

from __future__ import annotations

import json
import struct
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.evidence.ledger import read_ledger
from tests.support.bare_metal_guest import build, command, rules, run, run_with_qmp

if TYPE_CHECKING:
    from pathlib import Path

SPEC_ONLY = {
    "ap creation: a page without the VMSA attribute is malformed, reason 5",
    "ap creation: a VMSA that VMRUN would refuse is malformed, reason 5",
    "ap creation: a VMSA written by a shared mapping is garbage once private, reason 5",
    "ap creation: what was refused does not run",
}
"""Rules of what ends the machine with KVM: test_endings.py has its side."""
NAMES = rules()
FAULTS_TOLD = 16


@dataclass(frozen=True)
class Machine:
    """The object's properties, and what the guest knows of them."""

    hypervisor: str
    entries: str

    def __str__(self) -> str:
        return f"{self.hypervisor}-{self.entries}"

    @property
    def properties(self) -> str:
        return f",hypervisor={self.hypervisor},rmp-entries={self.entries}"

    @property
    def options(self) -> dict[str, int]:
        return {"kvm": self.hypervisor == "kvm", "entries": ("4k", "2m", "mixed").index(self.entries)}

    def rules(self) -> list[str]:
        left_out = SPEC_ONLY if self.hypervisor == "kvm" else {n for n in NAMES if n.startswith("kvm, ")}
        return [name for name in NAMES if name not in left_out]


MACHINES = [
    Machine(hypervisor, entries) for hypervisor in ("kvm", "spec") for entries in ("4k", "2m", "mixed")
]


@pytest.fixture(scope="module", params=MACHINES, ids=str)
def machine(request: pytest.FixtureRequest) -> Machine:
    made: Machine = request.param
    return made


@pytest.fixture(scope="module")
def folder(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"bare-metal-{machine}")


@pytest.fixture(scope="module")
def said(qemu_binary: Path, machine: Machine, folder: Path) -> dict[str, str]:
    """Give what the guest said of each rule: "ok", or what it saw."""
    debug = folder / "debug.log"
    properties = f"{machine.properties},ledger={folder / 'ledger.jsonl'}"
    done = run(command(qemu_binary, build(folder), debug, properties, **machine.options))
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
def test_rule(name: str, machine: Machine, said: dict[str, str]) -> None:
    expected = "ok" if name in machine.rules() else "the guest said nothing of it"
    assert said.get(name, "the guest said nothing of it") == expected


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
    # of each kind the ledger tells the first ones, and counts all
    told = Counter(line["op"] for line in lines if line["type"] == "fault")
    assert told["unvalidated-access"] == max(told.values()) == FAULTS_TOLD
    assert lines[-1]["faults"] > sum(told.values())
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
        (28, (0x1FF000, 0x1000), "sections 0 (0x100000+0x100000) and 1 (0x1ff000+0x1000) overlap"),
        (40, (0x200000, 0x1000), "sections 1 (0x200000+0x1000) and 2 (0x200000+0x1000) overlap"),
        (28, (0xFFFE0000, 0x1000), "section 1 (0xfffe0000+0x1000) lies in the firmware image"),
    ],
)
def test_firmware_with_damaged_sev_metadata_is_refused(
    offset: int, words: tuple[int, ...], told: str, qemu_binary: Path, tmp_path: Path
) -> None:
    """Offsets are OVMF's: number of sections, then base, size and type of each."""
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
@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (0x10000, "bit 17 must be 1"),
        (0x70000, "bit 18 or a bit above 20 is not known to KVM"),
        (0x230000, "bit 18 or a bit above 20 is not known to KVM"),
        (0x20000, "bit 16 forbids SMT, which the host has"),
        (0x130000, "bit 20 asks for a host of one socket"),
        (0x30137, "it wants a firmware ABI above 1.54"),
    ],
)
def test_policies_that_hosts_refuse(policy: int, told: str, qemu_binary: Path, tmp_path: Path) -> None:
    done = run(command(qemu_binary, build(tmp_path), tmp_path / "debug.log", f",policy={policy:#x}"))
    assert done.returncode == 1
    assert f"policy {policy:#x} is refused: {told}" in done.stderr


@pytest.mark.qemu
@pytest.mark.parametrize("policy", [0x30000, 0xB0000, 0x30136])
def test_policies_that_hosts_take(policy: int, qemu_binary: Path, tmp_path: Path) -> None:
    debug = tmp_path / "debug.log"
    run(command(qemu_binary, build(tmp_path), debug, f",policy={policy:#x}", ending=1))
    assert debug.read_text() == "still alive\n"


@pytest.mark.qemu
def test_a_second_object_is_refused(qemu_binary: Path, tmp_path: Path) -> None:
    line = command(qemu_binary, build(tmp_path), tmp_path / "debug.log")
    second = "sev-snp-emulated,id=sev1,cbitpos=51,reduced-phys-bits=1"
    done = run([*line, "-object", second])
    assert done.returncode == 1
    assert "there can be one such object, and two were given" in done.stderr


@pytest.mark.qemu
def test_firmware_without_reset_block_is_refused(qemu_binary: Path, tmp_path: Path) -> None:
    image = build(tmp_path)
    data = image.read_bytes()
    block = uuid.UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e").bytes_le
    assert data.count(block) == 1
    image.write_bytes(data.replace(block, bytes(16)))
    done = run(command(qemu_binary, image, tmp_path / "debug.log"))
    assert done.returncode == 1
    assert "failed to locate and/or save reset vector" in done.stderr


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("name", "value"),
    [("private-mmio", "fatal"), ("rmp-entries", "4k"), ("ledger-limit", 1), ("reflect", True)],
)
def test_a_property_cannot_change_once_the_guest_is_launched(
    name: str, value: str, qemu_binary: Path, tmp_path: Path
) -> None:
    setting = {"execute": "qom-set", "arguments": {"path": "sev0", "property": name, "value": value}}
    said = run_with_qmp(command(qemu_binary, build(tmp_path), tmp_path / "debug.log", ending=1), setting)
    refused = f"'{name}' cannot change once the guest is launched"
    assert [line["error"]["desc"] for line in said if "error" in line] == [refused]


@pytest.mark.qemu
def test_blocks_whose_pages_agree_cost_one_byte_again(qemu_binary: Path, tmp_path: Path) -> None:
    """50 blocks are accepted page by page; what is left apart is the launch's and the GHCB's."""
    ledger = tmp_path / "ledger.jsonl"
    properties = f",rmp-entries=4k,ledger={ledger}"
    run(command(qemu_binary, build(tmp_path), tmp_path / "debug.log", properties, ending=19))
    end = json.loads(ledger.read_text().splitlines()[-1])
    assert end["pages"]["validate"]["firmware"] == 50 * 512
    assert end["split-blocks"] <= 5


@pytest.mark.qemu
def test_a_ledger_ends_at_its_limit_and_goes_on_counting(qemu_binary: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    properties = f",ledger={ledger},ledger-limit=64K"
    done = run(command(qemu_binary, build(tmp_path), tmp_path / "debug.log", properties, ending=20))
    assert 64 << 10 < ledger.stat().st_size < 68 << 10
    assert "the ledger has reached its limit of 65536 bytes" in done.stderr
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [line["limit"] for line in lines if line["type"] == "cut"] == [64 << 10]
    assert [line["type"] for line in lines[-3:]] == ["cut", "terminate", "end"]
    totals = lines[-1]["pages"]
    assert sum(sum(totals[op].values()) for op in ("validate", "rescind", "rescind-again")) == 20000
    read = read_ledger(ledger)
    assert read.cut
    assert read.truncated


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
