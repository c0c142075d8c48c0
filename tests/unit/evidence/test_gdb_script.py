# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The script for gdb, and the symbol file that it reads of a kernel."""

from __future__ import annotations

import io
from pathlib import Path

from elftools.elf.elffile import ELFFile

from harness.evidence.symbols.debug_file import DebugFile
from harness.evidence.symbols.gdb_script import gdb_script
from harness.evidence.symbols.modules import Module, Modules
from harness.formats.kallsyms import Kallsyms
from harness.formats.symbol_file import symbol_file

MODULES = Modules.of(
    [
        Module(0x7F143000, "AmdSevDxe"),
        Module(0x7EAC4000, "CpuDxe", guid="1A-2B"),
        Module(0x1000, "GRUBX64.EFI"),
    ]
)
FILES = {name: DebugFile(Path(f"/s/{name}.debug")) for name in ("amdsevdxe", "cpudxe_1a-2b", "other")}


def script(c_bit: int | None = 51, kernel: Path | None = None) -> list[str]:
    return gdb_script(Path("/r/gdb.sock"), MODULES, FILES, c_bit=c_bit, kernel=kernel).splitlines()


def test_symbols_of_loaded_modules_alone() -> None:
    assert [line for line in script() if line.startswith("add-symbol-file")] == [
        "add-symbol-file /s/cpudxe_1a-2b.debug -o 0x7eac4000",
        "add-symbol-file /s/amdsevdxe.debug -o 0x7f143000",
    ]
    assert "target remote /r/gdb.sock" in script()
    deep = Path("/r", "d" * 120)
    text = gdb_script(deep / "gdb.sock", MODULES, FILES, c_bit=None, kernel=None)
    assert f"cd {deep}\ntarget remote gdb.sock\n" in text


def test_the_c_bit_is_no_part_of_an_address() -> None:
    assert "set $c_bit = 0x8000000000000UL" in script()
    assert any("& ~0x8000000000000UL" in line for line in script())
    assert "set $c_bit = 0x0UL" in script(None)


def test_kernel_symbols_only_where_there_are_some() -> None:
    assert not any("kernel-symbols" in line for line in script())
    text = script(kernel=Path("/k/vmlinux"))
    assert "define kernel-symbols" in text
    assert any('"add-symbol-file /k/vmlinux -o 0x%lx"' in line for line in text)


def test_a_symbol_file_is_an_elf_file_with_functions() -> None:
    made = symbol_file(Kallsyms([0xFFFFFFFF81000000, 0xFFFFFFFF81000040], ["first", "second"]))
    elf = ELFFile(io.BytesIO(made))
    found = {
        it.name: (it["st_value"], it["st_size"]) for it in elf.get_section_by_name(".symtab").iter_symbols()
    }
    assert found["first"] == (0xFFFFFFFF81000000, 0x40)
    assert found["second"] == (0xFFFFFFFF81000040, 0)
    text = elf.get_section_by_name(".text")
    assert (text["sh_addr"], text["sh_type"]) == (0xFFFFFFFF81000000, "SHT_NOBITS")
    assert ELFFile(io.BytesIO(symbol_file(Kallsyms([], [])))).num_sections() == 5
