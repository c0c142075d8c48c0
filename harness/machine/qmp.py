# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QMP: a synchronous face on qemu.qmp's asynchronous client, and events with the host's times."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError, Runstate

from harness.errors import HarnessError
from harness.machine.background import background

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from qemu.qmp.message import Message

# Failures reach the caller as exceptions; logging (of pytest, say) would show them a second time.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

ANSWER_SECONDS = 10.0
"""How long QEMU may take to answer one command; its main loop never blocks for longer in a healthy run."""


class MonitorError(HarnessError):
    """A QMP command was refused, not answered in time, or the connection is gone."""


@dataclass(frozen=True)
class Event:
    """One QMP event: ``t`` in seconds since the guest was let run, on the host's monotonic clock."""

    t: float
    name: str
    data: Mapping[str, object] = field(default_factory=dict)


class _Recorder(EventListener):
    """Hand events over as they arrive, instead of queueing them for a task of its own."""

    def __init__(self, on_event: Callable[[str, Mapping[str, object]], None]) -> None:
        super().__init__()
        self._on_event = on_event

    async def put(self, event: Message) -> None:
        data = event.get("data", {})
        self._on_event(str(event["event"]), data if isinstance(data, dict) else {})


class Monitor:
    """The control connection to one QEMU."""

    def __init__(self, on_event: Callable[[str, Mapping[str, object]], None]) -> None:
        """Prepare; ``on_event(name, data)`` runs on the loop's thread, from the very first event on."""
        self._client = QMPClient("harness")
        self._client.register_listener(_Recorder(on_event))

    def connect(self, connection: socket.socket, seconds: float) -> None:
        """Shake hands over a connected socket.

        Raise ``MonitorError`` when the other side hangs up, says something else, or is mute for too long.
        """

        async def shake_hands() -> None:
            await asyncio.wait_for(self._client.connect(connection), seconds)

        try:
            background().run(shake_hands(), seconds + 1.0)
        except TimeoutError:
            raise MonitorError(f"no QMP greeting within {seconds:g} s") from None
        except QMPError as error:
            raise MonitorError(f"no QMP greeting: {error}") from error

    def execute(self, command: str, /, **arguments: object) -> object:
        """Run one QMP command and give its return value; raise ``MonitorError``."""
        return self.execute_within(ANSWER_SECONDS, command, **arguments)

    def execute_within(self, seconds: float, command: str, /, **arguments: object) -> object:
        """Do the same for a command for which QEMU may take as many seconds."""
        try:
            return background().run(self._client.execute(command, arguments or None), seconds)
        except ExecuteError as error:
            raise MonitorError(f"QMP {command}: {error}") from error
        except (QMPError, TimeoutError, EOFError, OSError, asyncio.CancelledError) as error:
            raise MonitorError(f"QMP {command}: QEMU gave no answer ({error})") from error

    def qom_get(self, path: str, name: str) -> object:
        return self.execute("qom-get", path=path, property=name)

    def properties(self, path: str) -> dict[str, object]:
        """Return all readable properties of a QOM object; raise ``MonitorError`` when there is none."""
        listed = self.execute("qom-list", path=path)
        values: dict[str, object] = {}
        for entry in listed if isinstance(listed, list) else []:
            with contextlib.suppress(MonitorError):  # write-only properties
                values[entry["name"]] = self.qom_get(path, entry["name"])
        return values

    async def hung_up(self) -> None:
        """On the loop's thread, after QEMU's exit: wait until all that it sent has been taken."""
        if self._client.runstate is Runstate.RUNNING:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._client.runstate_changed(), 2.0)

    def disconnect(self) -> None:
        """Close the connection, whatever state it is in."""
        # The client re-raises what ended its reader: EOFError after QEMU quit is the normal case.
        with contextlib.suppress(QMPError, EOFError, OSError, TimeoutError, asyncio.CancelledError):
            background().run(self._client.disconnect(), 5.0)
