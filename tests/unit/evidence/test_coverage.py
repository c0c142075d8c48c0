# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From QEMU's log of translated code to source lines, and how commands print them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.evidence.symbols.covered import SourceFile, covered
from harness.evidence.symbols.debug_file import DebugFile
from harness.evidence.symbols.executed import COVERAGE_LOG, blocks, executed
from harness.evidence.symbols.modules import Module, Modules
from harness.machine.argv import ByHand, argv
from harness.machine.spec import MachineSpec
from harness.results.coverage.page import coverage_page
from harness.results.coverage.told import ACCEPTANCE, as_data, as_lcov, as_text, chosen, ranges_text
from harness.run.single.boot import with_code_log
from tests.support.made_module import build_module

BASE = 0x7F144000
SOURCE = """\
int Odd (int Value) {
  if (Value > 3) {
    return Value * 3;
  }
  return 1;
}
int _ModuleEntryPoint (int Value) {
  return Value + 1;
}
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> DebugFile:
    """Return the symbols of a module with two functions, of which a boot executes one."""
    return DebugFile(build_module(tmp_path_factory.mktemp("covered"), SOURCE) / "Made.debug")


def log_of(*found: tuple[int, bytes]) -> str:
    """Return a log of QEMU's as `-d in_asm` without a disassembler writes it, 32 bytes a line."""
    lines = []
    for address, code in found:
        rows = [code[at : at + 32].hex() for at in range(0, len(code), 32)]
        lines += ["----------------", "IN: ", f"0x{address:08x}:  ", *(f"OBJD-T: {row}" for row in rows), ""]
    return "\n".join((*lines, ""))


def code(made: DebugFile, name: str) -> tuple[int, bytes]:
    """Return a function's offset and code."""
    start, text = made.text
    found = next(it for it in made.functions if it.name == name)
    return found.address, text[found.address - start :][: found.size]


def test_blocks() -> None:
    log = log_of((0xFFFFFFF0, b"\x0f\x20"), (0x1000, bytes(range(40))))
    assert list(blocks(log)) == [(0xFFFFFFF0, b"\x0f\x20"), (0x1000, bytes(range(40)))]
    assert list(blocks("nothing")) == []


def test_code_of_another_is_not_the_modules(made: DebugFile) -> None:
    at, text = code(made, "_ModuleEntryPoint")
    modules, files = Modules.of([Module(BASE, "Made"), Module(BASE - 0x1000, "Unknown")]), {"made": made}
    found = executed(log_of((BASE + at, text)), modules, files)
    assert list(found[made]) == [(at, at + len(text))]
    other = bytes(byte ^ 0xFF for byte in text)
    assert executed(log_of((BASE + at, other)), modules, files) == {}
    assert executed(log_of((0x1000, text)), modules, files) == {}


def sources(made: DebugFile) -> list[SourceFile]:
    at, text = code(made, "_ModuleEntryPoint")
    boot = executed(log_of((BASE + at, text)), Modules.of([Module(BASE, "Made")]), {"made": made})
    return chosen(covered([boot, boot, {}], [made]).values(), re.compile("^MadePkg/"))


def test_lines_and_functions(made: DebugFile) -> None:
    (source,) = sources(made)
    functions = source.by_function()
    assert set(functions) == {"Odd", "_ModuleEntryPoint"}
    assert functions["_ModuleEntryPoint"] == {7: 2, 8: 2, 9: 2}
    assert set(functions["Odd"].values()) == {0}
    assert source.hit == 3


def test_how_it_is_told(made: DebugFile) -> None:
    found = sources(made)
    text = "\n".join(as_text("fw", ["cell"], found))
    assert "never run: Odd" in text
    assert text.endswith(" lines in all")
    data = as_data("fw", ["cell"], found)
    assert data["files"][0]["never_run"] == ["Odd"]
    assert data["files"][0]["lines"]["8"] == 2
    lcov = list(as_lcov(found))
    assert lcov[0] == "TN:"
    assert lcov[1].endswith("/MadePkg/Made.c")
    assert {"FN:1,Odd", "FNDA:0,Odd", "FNDA:2,_ModuleEntryPoint", "FNF:2", "FNH:1", "DA:8,2"} <= set(lcov)
    assert lcov[-1] == "end_of_record"


def test_the_page_shows_sources_where_they_are(made: DebugFile) -> None:
    (source,) = sources(made)
    page = coverage_page("fw", ["cell"], [source])
    assert "return Value * 3;" in page
    assert '<tr class="not">' in page
    assert '<tr class="run">' in page
    source.path = "/nowhere"
    assert "return Value * 3;" not in coverage_page("fw", ["<cell>"], [source])
    assert "&lt;cell&gt;" in coverage_page("fw", ["<cell>"], [source])


def test_numbers_in_words() -> None:
    assert ranges_text([3, 4, 5, 9, 11, 12]) == "3-5, 9, 11-12"
    assert ranges_text([]) == ""


def test_what_accepts_memory() -> None:
    assert ACCEPTANCE.search("OvmfPkg/Library/CcExitLib/CcExitVcHandler.c")
    assert ACCEPTANCE.search("OvmfPkg/PlatformPei/AmdSev.c")
    assert not ACCEPTANCE.search("OvmfPkg/PlatformPei/MemDetect.c")


def test_the_log_of_code_is_no_trace_of_events() -> None:
    """QEMU has one log: with a file for trace events, which came later, ``-D`` says nothing."""
    spec = MachineSpec(
        qemu=Path("/q"),
        firmware=Path("/f"),
        memory_mib=1024,
        accel="tcg",
        trace=("kvm_memory_fault",),
        extra=("-snapshot",),
    )
    channels = ByHand()
    assert "-trace" in argv(spec, channels)
    words = argv(with_code_log(spec), channels)
    assert "-trace" not in words
    assert words[words.index("-D") + 1] == COVERAGE_LOG
    assert "-snapshot" in words
