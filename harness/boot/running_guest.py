# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A Debian guest that runs for as long as somebody wants to work in it: no record, no judgement.

with running_guest(cell, ingredients, host, folder) as guest:
    print(guest.ssh.run("uname -r", seconds=10).stdout, guest.command)
"""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.boot.cell_machine import machine_spec
from harness.boot.ending import ends
from harness.boot.ssh_session import USER_KEY, with_ssh
from harness.errors import HarnessError
from harness.evidence.record import DOCUMENT_END
from harness.evidence.text import plain_text
from harness.machine.machine import Machine
from harness.machine.overlay import on_overlays
from harness.machine.ssh import ADDRESS, USER, Ssh, forwarded_port, public_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.matrix.cell import Cell
    from harness.platforms.host import Host

BOOT_SECONDS = 300.0
_CONNECT_SECONDS = 60.0
_KNOWN_HOSTS = "known-hosts"


@dataclass(frozen=True)
class RunningGuest:
    """``command`` is what a person types to log in while the guest runs."""

    machine: Machine
    ssh: Ssh
    command: str


def has_ended(machine: Machine) -> bool:
    """Say whether the guest does not go on."""
    return machine.ended is not None or any(ends(event) for event in machine.events)


@contextmanager
def running_guest(cell: Cell, ingredients: Ingredients, host: Host, folder: Path) -> Iterator[RunningGuest]:
    """Boot a cell whose guest is a Debian and log in; the guest ends with the block.

    Keys, overlays and consoles are files of ``folder``. HarnessError when the guest does not come up.
    """
    folder = folder.absolute()
    spec, session = with_ssh(machine_spec(cell, ingredients, host), (), folder)
    spec = replace(spec, drives=on_overlays(spec.drives, folder))
    end = f"{DOCUMENT_END}\r\n".encode()
    with Machine(spec, folder) as machine:
        machine.cont()
        console = machine.consoles["serial"]

        machine.wait(lambda: end in console.tail or has_ended(machine) or None, BOOT_SECONDS)
        if end not in console.tail:
            said = " ".join(plain_text(console.tail).split())[-300:]
            raise HarnessError(f"{cell.id}: the guest did not come up; its console ends with: {said}")
        port = forwarded_port(machine.qmp)
        with Ssh(port, session.keys, seconds=_CONNECT_SECONDS) as ssh:
            known = folder / _KNOWN_HOSTS
            known.write_text(f"[{ADDRESS}]:{port} {public_line(session.keys.host)}\n", encoding="ascii")
            words = [
                "ssh",
                "-p",
                str(port),
                "-i",
                str(folder / USER_KEY),
                "-o",
                f"UserKnownHostsFile={known}",
            ]
            yield RunningGuest(machine, ssh, shlex.join([*words, f"{USER}@{ADDRESS}"]))
