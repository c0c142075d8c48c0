# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The gdb script of a machine: firmware symbols where the modules are, kernel symbols, and the C-bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence.symbols.firmware import symbols_of
from harness.machine.sockets import reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.evidence.symbols.debug_file import DebugFile
    from harness.evidence.symbols.modules import Modules

_KERNEL_HELP = """\
Load the kernel's symbols: kernel-symbols OFFSET
OFFSET is how far KASLR moved it: "Kernel Offset:" in a panic; 0, if none is given, as with nokaslr.\
"""
_PHYSICAL_HELP = """\
Show memory at a guest physical address: physical ADDRESS
The C-bit may be set, as in page tables and in CR3: it is no part of the address.\
"""


def gdb_script(
    socket: Path,
    modules: Modules,
    files: Mapping[str, DebugFile],
    *,
    c_bit: int | None,
    kernel: Path | None,
) -> str:
    """Return a script that gdb takes with ``-x``.

    ``c_bit``: the number of the address bit that marks a page as encrypted, None for a guest without one;
    ``kernel``: a file with the kernel's symbols.
    """
    return "\n".join([*_general(socket), *_modules(modules, files), *_physical(c_bit), *_kernel(kernel), ""])


def _general(socket: Path) -> Iterator[str]:
    yield "set pagination off"
    yield "set confirm off"
    yield "set width 0"
    yield "set architecture i386:x86-64"
    enter, path = reach(socket.parent, socket.name)
    if enter:
        yield f"cd {socket.parent}"
    yield f"target remote {path}"


def _modules(modules: Modules, files: Mapping[str, DebugFile]) -> Iterator[str]:
    """Yield the commands that load symbols; gdb says a line for each, which nobody reads."""
    yield from ("set logging file /dev/null", "set logging redirect on", "set logging enabled on")
    for module in modules.all:
        symbols = symbols_of(module, files)
        if symbols is not None:
            yield f"add-symbol-file {symbols.path} -o {module.base:#x}"
    yield "set logging enabled off"


def _physical(c_bit: int | None) -> Sequence[str]:
    mask = 0 if c_bit is None else 1 << c_bit
    read = f'eval "monitor xp /8xg 0x%lx", (unsigned long)($arg0) & ~{mask:#x}UL'
    return f"set $c_bit = {mask:#x}UL", *_command("physical", _PHYSICAL_HELP, read)


def _kernel(kernel: Path | None) -> Sequence[str]:
    if kernel is None:
        return ()
    load = (
        "if $argc == 0",
        f"  add-symbol-file {kernel}",
        "else",
        f'  eval "add-symbol-file {kernel} -o 0x%lx", (unsigned long)($arg0)',
        "end",
    )
    return _command("kernel-symbols", _KERNEL_HELP, *load)


def _command(name: str, text: str, *body: str) -> tuple[str, ...]:
    return f"define {name}", *(f"  {line}" for line in body), "end", f"document {name}", text, "end"
