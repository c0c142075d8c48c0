# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The bare-metal guest of ``bare_metal/``: building it, and running it under the emulation."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from harness.boot.cell_machine import NO_SPECULATION
from harness.machine.spec import CPU
from tests.support.data import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SOURCE = TESTS / "emulation/bare_metal"
ENCRYPTED_SOURCES = tuple(SOURCE / name for name in ("guest.c", "fuzz.c", "encrypted/encrypted.c"))
CPU_MODEL = ",".join([CPU, *(f"{feature}=on" for feature in NO_SPECULATION)])
"""As an emulated guest of the harness has it."""
SECTIONS = (".text", ".tables", ".metadata", ".reset", ".guids")
SECONDS = 60
SNP = "sev-snp-emulated,id=sev0,cbitpos=51,reduced-phys-bits=1,hypervisor=spec"
ENCRYPTED = "sev-emulated,id=sev0,cbitpos=51,reduced-phys-bits=1"
"""Confidential objects."""


def rules(sources: Iterable[Path] | None = None) -> list[str]:
    """Return the names of the rules in ``sources`` (default: the whole guest's), in no particular order."""
    return [
        name
        for path in (sources or sorted(SOURCE.glob("*.c")))
        for name in re.findall(r'TEST\("([^"]+)"\)', path.read_text())
    ]


def build(folder: Path, sources: Iterable[Path] | None = None) -> Path:
    """Make the firmware image in ``folder``, from other C sources if given."""
    elf, image = folder / "guest.elf", folder / "guest.fd"
    paths = [str(path) for path in (sources or sorted(SOURCE.glob("*.c")))]
    subprocess.run(
        [
            *("gcc", "-m64", "-O1", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-static"),
            *("-fno-pic", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-mno-red-zone"),
            *("-mgeneral-regs-only", "-mcmodel=large", "-I.", "-Wl,-T,image.ld", "-Wl,--build-id=none"),
            *("-Wl,-z,noexecstack", "-o", str(elf), "start.S", *paths),
        ],
        cwd=SOURCE,
        check=True,
    )
    sections = [word for name in SECTIONS for word in ("-j", name)]
    subprocess.run(
        ["objcopy", "-O", "binary", *sections, "--gap-fill", "0xf4", str(elf), str(image)], check=True
    )
    return image


def command(qemu: Path, image: Path, debug: Path, properties: str = "", **options: int) -> list[str]:
    """Return QEMU's command line for an SNP guest.

    The guest writes to the file ``debug``. ``properties`` go to the object, ``options`` to the guest. Unless
    ``properties`` say otherwise, answers are those of the GHCB specification.
    """
    return command_of(f"{SNP}{properties}", qemu, image, debug, **options)


def command_of(guest: str, qemu: Path, image: Path, debug: Path, **options: int) -> list[str]:
    """Return QEMU's command line for the confidential object ``guest``, as ``command`` does."""
    return [
        *(str(qemu), "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
        *("-machine", "q35,vmport=off,confidential-guest-support=sev0", "-accel", "tcg", "-cpu", CPU_MODEL),
        *("-m", "256M", "-smp", "2", "-bios", str(image)),
        *("-object", guest),
        *("-chardev", f"file,id=debug,path={debug}", "-device", "isa-debugcon,iobase=0x402,chardev=debug"),
        *(
            word
            for key, value in options.items()
            for word in ("-fw_cfg", f"name=opt/{key},string={int(value)}")
        ),
    ]


def run(arguments: list[str], *, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """Run to its end a guest that ends by itself."""
    return subprocess.run(
        arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )


def run_with_qmp(arguments: list[str], *commands: dict[str, Any]) -> list[dict[str, Any]]:
    """Run to its end, and give what QMP said: answers to ``commands``, and events.

    Commands are given before the guest starts. Standard input stays open, or QMP's session would close.
    """
    requests = [{"execute": "qmp_capabilities"}, *commands, {"execute": "cont"}]
    with subprocess.Popen(
        [*arguments, "-S", "-qmp", "stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as qemu:
        assert qemu.stdin
        assert qemu.stdout
        watchdog = threading.Timer(SECONDS, qemu.kill)
        watchdog.start()
        try:
            qemu.stdin.write("".join(json.dumps(request) + "\n" for request in requests))
            qemu.stdin.flush()
            return [json.loads(line) for line in qemu.stdout]
        finally:
            watchdog.cancel()
            qemu.kill()
