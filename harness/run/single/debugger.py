# SPDX-License-Identifier: BSD-2-Clause-Patent
"""gdb beside a boot: the guest runs to a place, stops, and gdb finds symbols where the modules are."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from harness.artifacts.firmware.modules import firmware_modules
from harness.boot.driver import ending_of
from harness.boot.loaded_images import loaded_images
from harness.boot.phases import Phase, phase_named
from harness.boot.running_machine import NO_LIMITS
from harness.boot.watch import Watch
from harness.errors import HarnessError, HostError
from harness.evidence.symbols.firmware import FOLDER, belonging, debug_files
from harness.evidence.symbols.gdb_script import gdb_script
from harness.evidence.symbols.kernel_files import symbols_beside
from harness.evidence.symbols.modules import Module, Modules, logged
from harness.evidence.text import plain_text
from harness.formats.linux_payload import kernel_elf, kernel_in
from harness.formats.symbol_file import symbol_file
from harness.machine.guest_memory import GuestMemory
from harness.run.single.boot import GDB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from harness.evidence.record import Ending
    from harness.evidence.symbols.debug_file import DebugFile
    from harness.machine.machine import Machine

SCRIPT, KERNEL_SYMBOLS = "debug.gdb", "kernel.sym"
"""Files of the record's folder."""
_LOADED = re.compile(
    r"^Loading (?:driver|PEIM) at 0x[0-9A-F]+ EntryPoint=0x[0-9A-F]+ (\S+)\.efi", re.MULTILINE
)
_C_BIT = "cbitpos"
_REACH_SECONDS = 600.0


class Debugger:
    """An attendant (`harness.boot.talk.Attendant`) that stops the guest at ``until`` and runs gdb.

    ``until``: a phase's label, or the name of a firmware module that the log says is loaded. ``commands`` are
    what gdb does; without any a person types them. ``symbols``: a folder of .debug files, None for those of
    the firmware's own build. ``said`` receives sentences for the person.
    """

    by_gdb = False
    types = True

    def __init__(
        self, until: str, commands: Sequence[str], symbols: Path | None, said: Callable[[str], None]
    ) -> None:
        self._until = until
        self._commands = tuple(commands)
        self._symbols = symbols
        self._said = said
        self._watch = Watch()
        self._log = bytearray()
        self._machine: Machine | None = None
        self._beside = ThreadPoolExecutor(1)
        if shutil.which("gdb") is None:
            raise HostError("gdb is not installed", "apt-get install gdb")

    def attach(self, machine: Machine) -> None:
        """Watch for the place at which the guest is to stop."""
        self._machine = machine
        # Reading a kernel's symbols takes a second; the guest boots meanwhile.
        self._kernel = self._beside.submit(_kernel_symbols, machine)
        for name in machine.consoles:
            machine.watch(name, partial(self._watch.feed, name))
            machine.watch(name, self._remember)

    def listen(self) -> None:
        """Let the guest run to its place, stop it, and stay until gdb has ended; then the machine ends."""
        machine = self._machine
        assert machine is not None
        if not machine.wait(self._there, _REACH_SECONDS):
            raise HarnessError(f"the guest was not in {self._until} after {_REACH_SECONDS:g} s")
        if machine.ended is None and ending_of(machine, self._watch, NO_LIMITS) is None:
            machine.qmp.execute("stop")
            self._run(machine)
        machine.quit()

    def stay(self, machine: Machine, ending: Ending) -> None:
        """Do nothing: gdb has ended."""

    def _remember(self, data: bytes, _t: float) -> None:
        self._log += data

    def _there(self) -> bool | None:
        assert self._machine is not None
        if self._machine.ended is not None or ending_of(self._machine, self._watch, NO_LIMITS) is not None:
            return True
        with contextlib.suppress(ValueError):
            return self._watch.seen().phase >= phase_named(self._until) or None
        return self._until in _LOADED.findall(plain_text(bytes(self._log))) or None

    def _run(self, machine: Machine) -> None:
        firmware = machine.spec.firmware
        files = belonging(self._symbols, firmware) if self._symbols else _of_build(firmware)
        modules = self._modules(machine)
        script = machine.rundir / SCRIPT
        own = dict(machine.spec.confidential.properties) if machine.spec.confidential is not None else {}
        c_bit = int(own[_C_BIT]) if _C_BIT in own else None
        kernel, refused = self._kernel.result()
        for each in refused:
            self._said(f"not used: {each}")
        script.write_text(gdb_script(machine.rundir / GDB, modules, files, c_bit=c_bit, kernel=kernel))
        if not files:
            self._said(
                f"{firmware} has no symbols: firmware that the harness builds has, or name --symbols DIR"
            )
        phase = self._watch.seen().phase.label
        self._said(
            f"the guest is stopped in phase {phase}, {len(modules.all)} modules are known; gdb -x {script}"
        )
        words = ["gdb", "-q", "-nx", "-x", str(script)]
        for command in self._commands:
            words += ["-ex", command]
        subprocess.run([*words, *(("-batch",) if self._commands else ())], check=False)

    def _modules(self, machine: Machine) -> Modules:
        """Return the modules by the firmware's table in memory, by its log, and where the image puts them."""
        own = firmware_modules(machine.spec.firmware.read_bytes())
        fixed = (Module(it.address, it.name, it.size, str(it.guid)) for it in own if it.address is not None)
        loaded: tuple[Module, ...] = ()
        with contextlib.suppress(OSError), GuestMemory(machine) as memory:
            loaded = loaded_images(memory, {it.guid: it.name for it in own})
        return Modules.of((*fixed, *logged(plain_text(bytes(self._log))), *loaded))


def _of_build(firmware: Path) -> Mapping[str, DebugFile]:
    folder = firmware.parent / FOLDER
    return debug_files(folder) if folder.is_dir() else {}


def _kernel_symbols(machine: Machine) -> tuple[Path | None, tuple[str, ...]]:
    """Return a file with the kernel's symbols, and what was refused.

    The file is the vmlinux of this very kernel, or made of System.map or of the table that the image carries.
    """
    image = machine.spec.kernel or next((drive.path for drive in machine.spec.drives), None)
    if image is None:
        return None, ()
    bare = machine.spec.kernel is not None
    try:
        bzimage = kernel_in(image.read_bytes())
        if bzimage is None:
            return None, ()
        files = symbols_beside(image if bare else None, bzimage, kernel_elf(bzimage))
    except HarnessError as error:
        return None, (error.what,)
    if files.vmlinux is not None:
        return files.vmlinux.path, files.refused
    made = machine.rundir / KERNEL_SYMBOLS
    made.write_bytes(symbol_file(files.symbols))
    return made, files.refused


def check_place(until: str, modules: Sequence[str]) -> None:
    """Raise HarnessError for a place that is neither a phase nor a module of the firmware."""
    labels = [phase.label for phase in Phase]
    if until not in labels and until not in modules:
        raise HarnessError(
            f"--until {until}: neither a phase nor a module of the firmware",
            f"name one of {', '.join(labels)}, or a module such as AmdSevDxe",
        )
