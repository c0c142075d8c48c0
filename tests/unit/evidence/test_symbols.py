# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Names of a firmware's addresses: its modules, and what a module's .debug file knows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from harness.artifacts.firmware.modules import FirmwareModule
from harness.errors import HarnessError
from harness.evidence.record import BootRecord, Ending, EndingKind, Input
from harness.evidence.symbols import firmware
from harness.evidence.symbols.debug_file import DebugFile, source_name
from harness.evidence.symbols.firmware import (
    belonging,
    debug_files,
    firmware_symbols,
    fitting_modules,
    symbols_of,
)
from harness.evidence.symbols.instructions import instruction
from harness.evidence.symbols.kernel import PVALIDATE
from harness.evidence.symbols.modules import Module, Modules, logged, modules_of
from harness.evidence.symbols.places import Places
from harness.evidence.symbols.registers import read_registers
from tests.support.made_module import build_module

if TYPE_CHECKING:
    from pathlib import Path

BASE = 0x7F144000
SOURCE = """\
static int Inner (int Value) {
  return Value * 3;
}
void *Pointer = &Inner;
int _ModuleEntryPoint (int Value) {
  return Inner (Value) + 1;
}
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of symbols as a build leaves it, with one module, Made."""
    return build_module(tmp_path_factory.mktemp("built"), SOURCE)


def test_functions_and_lines(built: Path) -> None:
    file = DebugFile(built / "Made.debug")
    entry = next(it for it in file.functions if it.name == "_ModuleEntryPoint")
    assert file.place(entry.address) == "_ModuleEntryPoint()+0x0 at MadePkg/Made.c:5"
    assert file.place(0x240) == "Inner()+0x0 at MadePkg/Made.c:1"
    assert file.place(entry.address + entry.size + 64) == ""
    assert file.place(0) == ""
    assert file.build_id == "1234"
    assert file.module == "Made"


def test_symbols_that_do_not_belong_are_seen(built: Path) -> None:
    file = DebugFile(built / "Made.debug")
    start, text = file.text
    image = bytes(start) + text + bytes(64)
    assert file.belongs_to(image)
    changed = bytearray(image)
    changed[start + 4] ^= 1
    assert not file.belongs_to(bytes(changed))
    assert not file.belongs_to(image[: start + 4])


def test_no_symbols(tmp_path: Path) -> None:
    (tmp_path / "X.debug").write_bytes(b"no ELF")
    with pytest.raises(HarnessError, match=r"X\.debug: no symbols can be read"):
        _ = DebugFile(tmp_path / "X.debug").functions
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match=r"no \.debug files"):
        debug_files(tmp_path / "empty")


def test_a_source_file_has_one_name_everywhere() -> None:
    assert source_name("/a/b/OvmfPkg/AmdSevDxe/AmdSevDxe.c") == "OvmfPkg/AmdSevDxe/AmdSevDxe.c"
    assert source_name("/usr/include/x.h") == "/usr/include/x.h"


LOG = """\
Loading PEIM EDADEB9D-DDBA-48BD-9D22-C1C169C8C5C6
Loading PEIM at 0x00000835240 EntryPoint=0x0000083C63D PlatformPei.efi
Loading driver at 0x0007F144000 EntryPoint=0x0007F146C00 Made.efi
Loading driver at 0x0007F200000 EntryPoint=0x0007F201000
"""


def test_modules_have_the_guid_that_their_line_follows() -> None:
    first, second, third = logged(LOG)
    assert (first.name, first.guid) == ("PlatformPei", "edadeb9d-ddba-48bd-9d22-c1c169c8c5c6")
    assert (second.name, second.guid, third.name) == ("Made", "", "")


def test_a_module_ends(built: Path) -> None:
    modules = Modules.of([Module(BASE, "Made", 0x1000), Module(BASE, "Other", 0x800)])
    assert modules.name(BASE + 0x7FF) == "Other+0x7ff"
    assert modules.name(BASE + 0x800) == ""
    assert modules_of(LOG).name(BASE + 0x1F0000) == ""
    files = {"cpudxe_1a-2b": DebugFile(built / "a"), "cpudxe_3c": DebugFile(built / "b")}
    assert symbols_of(Module(0, "CpuDxe", guid="1A-2b"), files) is files["cpudxe_1a-2b"]
    assert symbols_of(Module(0, "CpuDxe"), files) is None


@pytest.fixture
def record(built: Path, tmp_path: Path) -> BootRecord:
    image = built.parent / "OVMF.fd"
    image.write_bytes(b"an image")
    (tmp_path / "debugcon.log").write_text(LOG)
    (tmp_path / "images.json").write_text(
        json.dumps([{"base": BASE + 0x80000, "name": "GRUBX64.EFI", "size": 4096, "guid": ""}])
    )
    given = Input(sha256=hashlib.sha256(b"an image").hexdigest(), size=8, path=str(image))
    ending = Ending(EndingKind.HANG, "dxe", "", "")
    return BootRecord(path=tmp_path, cell="c", platform="plain", ending=ending, inputs={"firmware": given})


def test_places(record: BootRecord) -> None:
    places = Places(record)
    assert places.told(BASE + 0x240) == f"{BASE + 0x240:#x} (Made+0x240, Inner()+0x0 at MadePkg/Made.c:1)"
    assert places.told(0x83C63D) == "0x83c63d (PlatformPei+0x73fd)"
    assert places.name(BASE + 0x80010) == "GRUBX64.EFI+0x10"
    assert places.is_firmware(BASE)
    assert not places.is_firmware(BASE + 0x80010)
    assert not places.is_firmware(0x10)
    assert places.told(0x10) == "0x10"
    assert places.name(0x5C205D62, "kernel") == "before the kernel's own page tables"
    assert places.code(BASE + 0x240)
    assert places.lacking() == []
    assert places.name(0xFFFFFFFF81000000) == ""
    assert places.lacking() == ["no functions of the kernel: the image that was booted is not where it was"]


def test_symbols_of_another_build_are_refused(record: BootRecord) -> None:
    other = replace(record.inputs["firmware"], sha256="0" * 64)
    files, why = firmware_symbols(replace(record, inputs={"firmware": other}))
    assert not files
    assert "of another build than the one that was booted" in why


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("f2 0f 01 ff 0f 92", "instruction pvalidate"),
        ("f3 0f 01 d9", "instruction vmgexit"),
        ("0f 0b", "instruction ud2, as a BUG has it"),
        ("48 89 c8", "code 48 89 c8"),
        ("", ""),
    ],
)
def test_instructions(code: str, told: str) -> None:
    assert instruction(bytes.fromhex(code)) == told


def test_registers() -> None:
    text = (
        "CPU#0\nRBP=000000007fb04030 RSP=1\nRIP=000000007eac4699 RFL=2\n"
        "\nCode of vCPU 0\n000000007eac4699: 0xeb 0xec\n"
        "\nStack of vCPU 0\n000000007fb04020: 0x0000000000000001 0x0000000000000002\n"
        "000000007fb04030: 0x000000007fb04060 0x000000007f1475b3\n"
    )
    found = read_registers(text)
    assert (found.rips, found.frames, found.codes) == ((0x7EAC4699,), (0x7FB04030,), (b"\xeb\xec",))
    assert found.stacks[0][0x7FB04038] == 0x7F1475B3
    assert read_registers("").rips == ()


def test_a_module_of_a_release_build_is_found_by_its_code(
    record: BootRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def module(name: str, *places: int) -> FirmwareModule:
        program = bytearray(0x4000)
        for at in places:
            program[at : at + 4] = PVALIDATE
        header = 0x40
        program[0x3C] = header
        program[header + 0x50 : header + 0x54] = (0x4000).to_bytes(4, "little")
        return FirmwareModule(UUID(int=7), name, bytes(program), None)

    programs = (module("IoMmuDxe", 0x2873, 0x2900), module("AmdSevDxe", 0x1873), module("Other", 0x555))
    monkeypatch.setattr(firmware, "_programs", lambda *_: programs)
    both = {0x7ECAB873: PVALIDATE, 0x7ECAB900: PVALIDATE}
    assert fitting_modules(record, both) == (Module(0x7ECA9000, "IoMmuDxe", 0x4000, str(UUID(int=7))),)
    assert fitting_modules(record, {0x7ECAB873: PVALIDATE}) == (), "two modules fit"
    assert fitting_modules(record, {0x7ECAB874: PVALIDATE}) == (), "none fits"
    assert fitting_modules(record, {}) == ()


def test_a_folder_of_symbols_belongs_to_its_image(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, text = DebugFile(built / "Made.debug").text
    image = tmp_path / "OVMF.fd"
    image.write_bytes(b"an image")

    def of(program: bytes, name: str = "Made") -> None:
        module = FirmwareModule(UUID(int=7), name, program, None)
        monkeypatch.setattr(firmware, "firmware_modules", lambda _: (module,))

    of(bytes(start) + text)
    assert "made" in belonging(built, image)
    of(bytes(start) + text[:-1] + b"\x90")
    with pytest.raises(HarnessError, match=r"Made\.debug \(build id 1234\) does not belong to .*OVMF\.fd"):
        belonging(built, image)
    of(bytes(start) + text, name="Other")
    with pytest.raises(HarnessError, match="of no module of"):
        belonging(built, image)
