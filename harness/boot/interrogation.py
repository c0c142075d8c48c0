# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a boot that has ended asks of the QEMU that is still there; each question has its own time."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.artifacts.firmware.modules import firmware_modules
from harness.boot.loaded_images import loaded_images
from harness.evidence.record import CONFIDENTIAL, IMAGES, QUERY_SEV, REGISTERS, EndingKind
from harness.formats.json_text import write_json
from harness.machine.guest_memory import GuestMemory
from harness.machine.qmp import MonitorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.record import Ending
    from harness.machine.machine import Machine

_MOST_VCPUS = 8
"""Whose code bytes a record holds; it holds the registers of all."""
_STACK_WORDS = 512


def interrogate(machine: Machine, ending: Ending) -> None:
    """Ask for counters and, of a boot that went wrong, for registers and code.

    A QEMU that does not answer a question gets no other one: the record lacks what was not told. Registers
    and code of a guest on hardware are not asked for: they are its own.
    """
    if machine.returncode is not None:
        return
    confidential = machine.spec.confidential
    with contextlib.suppress(MonitorError):
        counters = {
            CONFIDENTIAL: confidential and machine.qmp.properties(f"/objects/{confidential.id}"),
            "query-status": machine.qmp.execute("query-status"),
            "query-memory-size-summary": machine.qmp.execute("query-memory-size-summary"),
        }
        # What an emulation answers tells of no SEV firmware.
        if machine.spec.protected:
            with contextlib.suppress(MonitorError):
                counters[QUERY_SEV] = machine.qmp.execute(QUERY_SEV)
        write_json(machine.rundir / "counters.json", counters)
        if ending.kind is EndingKind.COMPLETED or machine.spec.protected:
            return
        with contextlib.suppress(OSError):
            _images(machine)
        with (machine.rundir / REGISTERS).open("w") as file:
            for text in _registers(machine):
                file.write(text)
                file.flush()


def _images(machine: Machine) -> None:
    """Write which EFI images are loaded, where the firmware's own table is still in the guest's memory."""
    with GuestMemory(machine) as memory:
        names = {module.guid: module.name for module in firmware_modules(machine.spec.firmware.read_bytes())}
        found = loaded_images(memory, names)
    if found:
        write_json(machine.rundir / IMAGES, [asdict(module) for module in found])


def _registers(machine: Machine) -> Iterator[str]:
    """Yield the registers of all vCPUs, then the bytes that each was about to run, and its stack."""
    yield _monitor(machine, "info registers -a", 0)
    for vcpu in range(min(machine.spec.vcpus, _MOST_VCPUS)):
        yield f"\nCode of vCPU {vcpu}\n{_monitor(machine, 'x /32xb $pc', vcpu)}"
        yield f"\nStack of vCPU {vcpu}\n{_monitor(machine, f'x /{_STACK_WORDS}xg $sp', vcpu)}"


def _monitor(machine: Machine, command: str, vcpu: int) -> str:
    arguments = {"command-line": command, "cpu-index": vcpu}
    return str(machine.qmp.execute("human-monitor-command", **arguments)).replace("\r\n", "\n")
