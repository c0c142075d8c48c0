# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the harness does in a Debian guest: log in once it has reported, ask, act, power it off."""

from __future__ import annotations

import contextlib
import math
import secrets
import shlex
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from harness.evidence.record import DOCUMENT_END
from harness.evidence.ssh import IS_RUNNING, LIST_FAILED, OS_RELEASE, RELEASE, SSH_REPORT
from harness.formats.json_text import write_json
from harness.machine.spec import Drive
from harness.machine.ssh import ADDRESS, NETWORK, USER, Keys, Said, Ssh, SshError, forwarded_port, public_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.machine.machine import Machine
    from harness.machine.spec import MachineSpec

KEYS_DISK, USER_KEY = "ssh-keys.img", "ssh-key"
_KNOWN_HOSTS = "known-hosts"
_CONNECT_SECONDS = 60.0
_ASK_SECONDS = 90.0
_ACTION_SECONDS = 600.0
"""At most; the boot's own limits, which know the guest's memory and its consoles, end it earlier."""


@dataclass
class SshSession:
    """A talk (``harness.boot.talk``) over SSH; its report is ``ssh.json`` in ``folder``."""

    keys: Keys
    actions: tuple[str, ...]
    last: bool
    folder: Path
    nonce: str = field(default_factory=lambda: secrets.token_hex(64))
    types: ClassVar[bool] = False

    def attach(self, machine: Machine) -> None:
        """Have nothing to watch: the console keeps the end of what it got."""

    def run(self, machine: Machine) -> None:
        """Wait for the guest's document, then do everything; leave the report, however it ends."""
        if not has_reported(machine):
            return
        said: list[Said] = []
        port, connected = forwarded_port(machine.qmp), -1.0
        try:
            with Ssh(port, self.keys, seconds=_CONNECT_SECONDS) as ssh:
                connected = round(machine.clock(), 3)
                self._talk(ssh, said)
        finally:
            report = {"connected": connected, "nonce": self.nonce, "said": [asdict(one) for one in said]}
            write_json(self.folder / SSH_REPORT, report)

    def _talk(self, ssh: Ssh, said: list[Said]) -> None:
        for question in (RELEASE, OS_RELEASE, IS_RUNNING, LIST_FAILED):
            said.append(ssh.run(question, _ASK_SECONDS))  # noqa: PERF401  # what came before an error counts
        for number, action in enumerate(self.actions, start=1):
            command = f"NONCE={self.nonce} /bin/busybox sh /tell action {action}"
            try:
                said.append(ssh.run(command, _ACTION_SECONDS))
            except SshError:
                if not (self.last and number == len(self.actions)):
                    raise
                return  # the guest has powered itself off
        said.append(ssh.run("/bin/busybox sh /tell done", _ASK_SECONDS))
        with contextlib.suppress(SshError):  # the connection may go first
            ssh.run("systemctl poweroff", _ASK_SECONDS)


@dataclass
class Invitation:
    """A talk that says how to log in once the guest has reported, and leaves the guest to the person."""

    session: SshSession
    said: Callable[[str], None]
    types: ClassVar[bool] = False

    def attach(self, machine: Machine) -> None:
        """Have nothing to watch."""

    def run(self, machine: Machine) -> None:
        """Wait for the guest's document, then say the command."""
        if has_reported(machine):
            port = forwarded_port(machine.qmp)
            self.said(f"log in with: {login_command(port, self.session.keys, self.session.folder)}")


def has_reported(machine: Machine) -> bool:
    """Wait for the end of the guest's document; return whether it came before the guest's end."""
    end = f"{DOCUMENT_END}\r\n".encode()
    console = machine.consoles["serial"]
    machine.wait(lambda: end in console.tail or machine.ended is not None or None, math.inf)
    return machine.ended is None


def login_command(port: int, keys: Keys, folder: Path) -> str:
    """Return what a person types to log in; the guest's key goes to a file in ``folder``."""
    known = folder / _KNOWN_HOSTS
    known.write_text(f"[{ADDRESS}]:{port} {public_line(keys.host)}\n", encoding="ascii")
    words = [
        *("ssh", "-p", str(port), "-i", str(folder / USER_KEY)),
        *("-o", f"UserKnownHostsFile={known}", f"{USER}@{ADDRESS}"),
    ]
    return shlex.join(words)


def with_ssh(
    spec: MachineSpec, actions: tuple[str, ...], folder: Path, *, last: bool = False
) -> tuple[MachineSpec, SshSession]:
    """Return a Debian's machine with a network and the run's keys, files in ``folder``, and the talk.

    ``last``: the kernel that does the last of ``actions`` is gone afterwards.
    """
    session = SshSession(Keys.generate(), actions, last, folder)
    disk, key = folder / KEYS_DISK, folder / USER_KEY
    disk.write_bytes(session.keys.disk())
    key.touch(0o600)
    key.write_text(session.keys.user, encoding="ascii")
    drives = (*spec.drives, Drive(path=disk.absolute(), read_only=True))
    return replace(spec, drives=drives, extra=(*spec.extra, *NETWORK)), session
