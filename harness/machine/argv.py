# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A machine's QEMU command line. Pure functions: no file is read here."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.machine.spec import TRACE

if TYPE_CHECKING:
    from harness.machine.spec import Drive, MachineSpec

DEBUGCON_PORT = 0x402
"""OVMF's debug I/O port (OvmfPkg.dec, PcdDebugIoPort)."""
SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
"""A guest that gets out into QEMU starts no programs there, and gains no rights."""


@dataclass(frozen=True)
class Channels:
    """Descriptors that QEMU inherits: it starts paused, and stays for questions after the guest has ended.

    ``qmp`` is a connected socket. The consoles are pipes: a guest sends byte by byte, and a Unix socket
    charges hundreds of bytes of its small buffer for each, so that the guest would wait for the reader.
    """

    qmp: int
    serial_out: int
    serial_in: int
    debugcon: int


@dataclass(frozen=True)
class ByHand:
    """The same machine for a person at a terminal: serial and monitor on it, debug console to a file."""

    debugcon: str = "debugcon.log"


def argv(spec: MachineSpec, channels: Channels | ByHand) -> tuple[str, ...]:
    """Return the whole command, program first.

    A plain machine differs from a confidential one in having neither the object nor
    ``confidential-guest-support``, beside its accelerator.
    """
    confidential = spec.confidential
    # No keyboard controller: firmware and kernel wait for one port access after the other, and nobody types.
    machine = {"vmport": "off", "i8042": "off", "memory-backend": "ram1"}
    if confidential is not None:
        machine["confidential-guest-support"] = confidential.id
    size = f"{spec.memory_mib}M"
    # memfd on every platform: confidential guests on KVM are documented with it; and its pages are not
    # reserved until touched, so that a 64 GiB guest runs under TCG on a small host, as with reserve=off.
    usual = {"id": "ram1", "size": size, "share": "on", "prealloc": "off"}
    memory = _options("memory-backend-memfd", **(usual | dict(spec.backing)))
    words = [
        *(str(spec.qemu), "-nodefaults", "-no-user-config"),
        *(SANDBOX if spec.sandbox else ()),
        *("-display", "none"),
        *("-nic", "none"),
        *("-machine", _options(spec.machine, **machine)),
        *("-accel", spec.accel),
        *("-cpu", spec.cpu),
        *("-smp", str(spec.vcpus)),
        *("-m", size),
        *("-object", memory),
    ]
    if confidential is not None:
        own = _options(confidential.type, id=confidential.id, **dict(confidential.properties))
        words += ["-object", own]
    words += ["-bios", str(spec.firmware)]
    if spec.kernel is not None:
        words += ["-kernel", str(spec.kernel)]
    if spec.initrd is not None:
        words += ["-initrd", str(spec.initrd)]
    if spec.cmdline:
        words += ["-append", spec.cmdline]
    for number, drive in enumerate(spec.drives):
        words += _drive(number, drive, by_hand=isinstance(channels, ByHand))
    for device in spec.devices:
        words += ["-device", device]
    words += ["-no-reboot", *_channels(channels), *_trace(spec.trace), *spec.extra]
    return tuple(words)


def shell_script(command: tuple[str, ...], cache: Path, notes: tuple[str, ...] = ()) -> str:
    """Return a runnable script of one command, an option and its value on each line.

    It runs in a new temporary folder, so that files with relative names do not replace stored evidence. Files
    of the cache are looked up in the cache of who runs it, by the names that they have in every cache.
    """
    words = [_below(cache, word) for word in command]
    lines = words[:1]
    for word in words[1:]:
        if word.startswith("-"):
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    home = cache.relative_to(Path.home()) if cache.is_relative_to(Path.home()) else None
    usual = shlex.quote(str(cache)) if home is None else f'"$HOME"/{shlex.quote(str(home))}'
    head = [
        "#!/bin/sh",
        *(f"# {note}" for note in notes),
        f"cache=${{HARNESS_CACHE:-{usual}}}",
        "case $cache in /*) ;; *) cache=$PWD/$cache ;; esac",
        f"command -v {words[0]} >/dev/null || {{",
        f"    echo {words[0]}: not found: HARNESS_CACHE names the cache that has it >&2",
        "    exit 1",
        "}",
    ]
    folder = ['cd "$(mktemp -d)" || exit 1', 'echo "files of this run: $PWD" >&2']
    return "\n".join([*head, *folder, "exec " + " \\\n    ".join(lines)]) + "\n"


def _below(cache: Path, word: str) -> str:
    """Quote a word for a shell, with ``$cache`` in the place of the cache's path."""
    parts = re.split(rf"(?<![\w./-]){re.escape(str(cache))}/", word)
    return '"$cache"/'.join(shlex.quote(part) if part else "" for part in parts) or "''"


def _options(first: str, /, **options: str) -> str:
    """Join ``first,key=value,...``; QEMU reads a doubled comma as a comma in a value."""
    return ",".join([first, *(f"{key}={value.replace(',', ',,')}" for key, value in options.items())])


def _drive(number: int, drive: Drive, *, by_hand: bool) -> list[str]:
    name = f"disk{number}"
    backend = {
        "node-name": name,
        "read-only": "on" if drive.read_only else "off",
        "file.driver": "file",
        "file.filename": str(drive.path),
    }
    device = {"drive": name, "disable-legacy": "on", "iommu_platform": "on"}
    if drive.boot_index is not None:
        device["bootindex"] = str(drive.boot_index)
    disk = ["-device", _options("virtio-blk-pci", **device)]
    if by_hand:  # what a person's guest writes is gone afterwards
        own = {"if": "none", "id": name, "format": drive.format, "file": str(drive.path), "snapshot": "on"}
        return ["-drive", ",".join(f"{key}={value.replace(',', ',,')}" for key, value in own.items()), *disk]
    return ["-blockdev", _options(f"driver={drive.format}", **backend), *disk]


def _trace(events: tuple[str, ...]) -> list[str]:
    """Return the options for trace events; the file belongs to each, for QEMU goes by the last one."""
    each = [word for name in events for word in ("-trace", _options(f"enable={name}", file=TRACE))]
    return ["-msg", "timestamp=on", *each] if each else []


def _channels(channels: Channels | ByHand) -> list[str]:
    debugcon = _options("isa-debugcon", iobase=f"{DEBUGCON_PORT:#x}", chardev="debugcon")
    if isinstance(channels, ByHand):
        return [
            *("-serial", "mon:stdio"),
            *("-chardev", _options("file", id="debugcon", path=channels.debugcon)),
            *("-device", debugcon),
        ]
    # append=on: QEMU would truncate a plain output file, which a pipe refuses.
    serial = _options("file", id="serial", path="/dev/fdset/1", append="on", **{"input-path": "/dev/fdset/2"})
    return [
        "-S",
        *("-action", "shutdown=pause"),
        *("-add-fd", f"fd={channels.serial_out},set=1"),
        *("-add-fd", f"fd={channels.serial_in},set=2"),
        *("-add-fd", f"fd={channels.debugcon},set=3"),
        *("-chardev", serial),
        *("-serial", "chardev:serial"),
        *("-chardev", _options("file", id="debugcon", path="/dev/fdset/3", append="on")),
        *("-device", debugcon),
        *("-chardev", _options("socket", id="qmp", fd=str(channels.qmp))),
        *("-mon", "chardev=qmp,mode=control"),
    ]
