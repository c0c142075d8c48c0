# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A Debian guest that runs for as long as somebody wants to work in it, over SSH.

with running_guest(machine_spec(cell, ingredients, host), folder) as guest:
    print(guest.succeed("uname -r"), guest.command)
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from harness.boot.phases import Phase, limits_of
from harness.boot.running_machine import WAIT_SECONDS, RunningMachine, running_machine
from harness.boot.ssh_session import login_command, with_ssh
from harness.errors import HarnessError
from harness.machine.ssh import Said, Ssh, SshError, forwarded_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.machine.spec import MachineSpec

_CONNECT_SECONDS = 60.0
_AGAIN_SECONDS = 0.5
_SHOWN = 2000
"""Characters of each of a command's outputs in a message: the last."""


class RunningGuest(RunningMachine):
    """A Debian at work. ``command`` is what a person types to log in while the guest runs."""

    ssh: Ssh
    command: str

    def execute(self, command: str, seconds: float = WAIT_SECONDS) -> Said:
        """Run a shell command as root; return its status, its outputs (1 MiB each at most) and its time.

        HarnessError when the guest ends meanwhile, or the command has not ended after ``seconds``.
        """
        __tracebackhide__ = True
        why = ""
        try:
            said = self.ssh.run(command, seconds)
            if said.status >= 0 or not (why := self.gone()):
                return said
        except SshError:
            if not (why := self.gone()):
                raise
        raise HarnessError(f"the guest has ended: {why}\n  during the command: {command}", self.console_file)

    def succeed(self, command: str, seconds: float = WAIT_SECONDS) -> str:
        """Return what a command says on its standard output; HarnessError when its status is not 0."""
        __tracebackhide__ = True
        said = self.execute(command, seconds)
        if said.status != 0:
            raise HarnessError(f"{command!r} failed{_shown(said)}", self.console_file)
        return said.stdout

    def fails(self, command: str, seconds: float = WAIT_SECONDS) -> str:
        """Return what a command says on its standard error; HarnessError when its status is 0."""
        __tracebackhide__ = True
        said = self.execute(command, seconds)
        if said.status == 0:
            raise HarnessError(f"{command!r} did not fail{_shown(said)}", self.console_file)
        return said.stderr

    def wait_until_succeeds(self, command: str, seconds: float = WAIT_SECONDS) -> str:
        """Return a command's standard output once its status is 0; it is run again and again until then.

        HarnessError when the guest ends before, or no run has succeeded after ``seconds``.
        """
        __tracebackhide__ = True
        give_up, said = time.monotonic() + seconds, ", it still runs"
        while (left := give_up - time.monotonic()) > 0:
            with suppress(SshError):  # of a command that has not ended: the time is up
                one = self.execute(command, left)
                if one.status == 0:
                    return one.stdout
                said = _shown(one)
                time.sleep(_AGAIN_SECONDS)
        raise HarnessError(f"{command!r} never succeeded within {seconds:g} s{said}", self.console_file)


def _shown(said: Said) -> str:
    outputs = (("stdout", said.stdout), ("stderr", said.stderr))
    lines = [f"  {name}: {text.rstrip()[-_SHOWN:]}" for name, text in outputs if text.strip()]
    return "\n".join([f", status {said.status}", *lines])


@contextmanager
def running_guest(spec: MachineSpec, folder: Path) -> Iterator[RunningGuest]:
    """Boot the machine of a cell whose guest is a Debian and log in; the guest ends with the block.

    Keys, overlays and consoles are files of ``folder``, which must be new. HarnessError when the guest does
    not come up.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    spec, session = with_ssh(spec, (), folder)
    limits = limits_of(spec, debian=True)
    with running_machine(spec, folder, RunningGuest) as guest:

        def reported() -> bool | None:
            return guest.phase is Phase.DONE or None

        guest.wait(reported, "the guest's report that it is up", math.inf, limits)
        port = forwarded_port(guest.qmp)
        guest.command = login_command(port, session.keys, folder)
        with Ssh(port, session.keys, seconds=_CONNECT_SECONDS, gone=guest.gone) as guest.ssh:
            yield guest
