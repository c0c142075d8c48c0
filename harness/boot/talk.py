# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A conversation with a booting guest, beside the watch over its consoles: menus of loaders, SSH."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar, Protocol

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.evidence.record import Ending
    from harness.machine.machine import Machine

_END_SECONDS = 10.0
"""How long a conversation may need to notice that its guest has gone."""


class Talk(Protocol):
    """What a boot runs on a thread of its own, from the guest's first instruction on.

    ``types``: it answers the prompts of firmware and loaders.
    """

    types: ClassVar[bool]

    def attach(self, machine: Machine) -> None:
        """Prepare while the guest is paused: watch consoles."""

    def run(self, machine: Machine) -> None:
        """Talk to the end of the script; HarnessError when the guest does not answer as it should.

        Once ``machine.ended`` is not None every wait must end soon.
        """


class Attendant(Protocol):
    """A person beside a boot, who may stop the guest and look at it: a stopped guest has not ended.

    ``by_gdb``: the guest's first instruction waits for gdb. ``types``: the person can answer prompts.
    """

    by_gdb: bool
    types: bool

    def attach(self, machine: Machine) -> None:
        """Prepare while the guest is paused: watch consoles."""

    def listen(self) -> None:
        """Begin to take the person's keys: the guest runs."""

    def stay(self, machine: Machine, ending: Ending) -> None:
        """Return once nobody needs the machine any more, whose boot has ended."""


def let_run(machine: Machine, attendant: Attendant | None, processor_seconds: float) -> None:
    """Let a guest run: for so much of QEMU's time, with a person beside it for as long as they keep it."""
    if attendant is None:
        machine.cont(processor_seconds=processor_seconds)
    else:
        attendant.attach(machine)
        machine.cont(by_gdb=attendant.by_gdb)


class Conversation:
    """One talk on its thread. ``failure`` is what it raised, in one line; ``types`` is the talk's own."""

    def __init__(self, talk: Talk | None, machine: Machine) -> None:
        self.failure = ""
        self.types = talk is not None and talk.types
        self._talk = talk
        self._machine = machine
        self._thread = threading.Thread(target=self._run, name="harness-talk", daemon=True)
        if talk is not None:
            talk.attach(machine)

    def start(self) -> None:
        """Begin to talk, on a thread of its own; without a talk do nothing."""
        if self._talk is not None:
            self._thread.start()

    def finish(self) -> None:
        """Wait for the thread; the guest has ended."""
        if self._thread.ident is not None:
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        assert self._talk is not None
        try:
            self._talk.run(self._machine)
        except HarnessError as error:
            self.failure = error.what.replace("\n", " ")
        except Exception as error:  # noqa: BLE001  # a thread has nobody else to tell
            self.failure = f"{type(error).__name__}: {error}"
