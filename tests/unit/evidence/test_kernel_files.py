# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A kernel's symbols from a vmlinux or a System.map beside it: those of another kernel are refused."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.evidence.symbols import kernel_files
from harness.evidence.symbols.kernel_files import symbols_beside
from harness.formats.kallsyms import read_system_map
from harness.formats.linux_payload import build_id
from tests.support.made_kernel import LINKED, bzimage, kernel_elf

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """\
const char linux_banner[] = "Linux version 6.99 (made)";
void panic(void)
{
  __asm__ volatile ("ud2");
}
"""
_COMMAND = (
    "gcc",
    "-g",
    "-O0",
    "-ffreestanding",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-fno-pie",
)
_MAP = """\
0000000000000000 D fixed_percpu_data
{panic:016x} T panic
{banner:016x} R linux_banner
"""
DEBIAN = "ffffffffffffffff B The real System.map is in the linux-image-6.99-dbg package\n"


@pytest.fixture(autouse=True)
def _no_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide what debug packages of this machine hold."""
    monkeypatch.setattr(kernel_files, "DEBUG", tmp_path / "usr-lib-debug")


def build(folder: Path, number: str = "0x1234") -> Path:
    """Return a vmlinux with debug information, whose build id is ``number``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "panic.c").write_text(SOURCE)
    linked = f"-Wl,-Ttext-segment={LINKED:#x},--entry=panic,--build-id={number}"
    subprocess.run([*_COMMAND, "-mcmodel=kernel", linked, "-o", "vmlinux", "panic.c"], cwd=folder, check=True)
    return folder / "vmlinux"


def stripped(vmlinux: Path) -> bytes:
    """Return what the build packs into the image: neither symbols nor debug information."""
    out = vmlinux.with_name("vmlinux.bin")
    subprocess.run(["objcopy", "-S", str(vmlinux), str(out)], check=True)
    return out.read_bytes()


def booted(folder: Path) -> Path:
    """Return where a kernel's build puts its image."""
    image = folder / "arch/x86/boot/bzImage"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"")
    return image


def address_of(vmlinux: Path, name: str) -> int:
    said = subprocess.run(["nm", str(vmlinux)], check=True, capture_output=True, text=True).stdout
    return next(int(line.split()[0], 16) for line in said.splitlines() if line.endswith(f" {name}"))


def test_a_vmlinux_of_the_tree_has_functions_and_lines(tmp_path: Path) -> None:
    vmlinux = build(tmp_path)
    elf = stripped(vmlinux)
    assert build_id(elf) == "1234"
    found = symbols_beside(booted(tmp_path), bzimage(elf), elf)
    assert (found.path, found.refused) == (vmlinux, ())
    assert found.vmlinux is not None
    panic = address_of(vmlinux, "panic")
    assert found.symbols.place(panic) == "panic()+0x0"
    assert found.vmlinux.line(panic) == "panic.c:3"
    assert found.vmlinux.line(panic + 4) == "panic.c:4"
    assert found.vmlinux.line(panic + 0x100000) == ""


def test_a_vmlinux_of_another_build_is_refused_by_its_build_id(tmp_path: Path) -> None:
    elf = stripped(build(tmp_path / "mine"))
    other = build(tmp_path / "tree", "0x5678")
    with pytest.raises(HarnessError, match="carries no symbol table"):
        symbols_beside(booted(tmp_path / "tree"), bzimage(elf), elf)
    own = kernel_elf()
    found = symbols_beside(tmp_path / "tree/arch/x86/boot/bzImage", bzimage(own), own)
    assert found.path is None
    assert found.symbols.place(LINKED + 16) == "function_00001()+0x0"
    assert found.refused == (f"{other} (build id 5678) is not of the booted kernel (unknown)",)


def test_a_file_that_is_no_vmlinux(tmp_path: Path) -> None:
    own = kernel_elf()
    for content in (b"", b"text", b"\x7fELF" + bytes(60)):
        (tmp_path / "vmlinux").write_bytes(content)
        found = symbols_beside(tmp_path / "bzImage", bzimage(own), own)
        assert found.path is None
        assert len(found.refused) == 1
        assert str(tmp_path / "vmlinux") in found.refused[0]


def test_a_system_map(tmp_path: Path) -> None:
    vmlinux = build(tmp_path / "build")
    elf = stripped(vmlinux)
    panic, banner = address_of(vmlinux, "panic"), address_of(vmlinux, "linux_banner")
    image = booted(tmp_path)
    (tmp_path / "System.map").write_text(_MAP.format(panic=panic, banner=banner))
    found = symbols_beside(image, bzimage(elf), elf)
    assert found.path == tmp_path / "System.map"
    assert found.symbols.place(panic + 2) == "panic()+0x2"
    (tmp_path / "System.map").write_text(_MAP.format(panic=panic, banner=banner + 8))
    with pytest.raises(HarnessError, match="carries no symbol table"):
        symbols_beside(image, bzimage(elf), elf)


def test_debians_system_map_names_a_package(tmp_path: Path) -> None:
    own = kernel_elf()
    (tmp_path / "System.map").write_text(DEBIAN)
    found = symbols_beside(tmp_path / "bzImage", bzimage(own), own)
    assert found.path is None
    said = f"{tmp_path}/System.map only says that the real one is in the package linux-image-6.99-dbg"
    assert found.refused == (said,)
    with pytest.raises(HarnessError, match="is of another kernel"):
        read_system_map("nothing\n", own, "System.map")
