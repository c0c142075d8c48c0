# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SSH server of paramiko's own in the place of a guest's."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import paramiko

from harness.machine import ssh
from harness.machine.ssh import Keys, public_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FLOOD = 3 << 20  # more than fits into a channel that is not read


class Server(paramiko.ServerInterface):
    """Lets one user in and answers each command with its own words, and a status that they end with."""

    def __init__(self, keys: Keys) -> None:
        self._user = public_line(keys.user).split()[1]

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == "root" and key.get_base64() == self._user
        return paramiko.common.AUTH_SUCCESSFUL if known else paramiko.common.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        del username
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del kind, chanid
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def answer() -> None:
            with contextlib.suppress(OSError):  # until the client closes the channel
                _answer(channel, command)

        threading.Timer(0.1, answer).start()  # not before the client knows that its command was taken
        return True


def _answer(channel: paramiko.Channel, command: bytes) -> None:
    if command == b"no end":
        channel.shutdown_write()
    elif command == b"trickle":
        while True:
            channel.sendall(b".")
            time.sleep(0.01)
    elif command == b"floods 0":
        channel.sendall_stderr(b"e" * FLOOD)
        channel.sendall(b"o" * FLOOD)
        channel.send_exit_status(0)
        channel.close()
    elif command != b"hang":
        channel.sendall(b"said: " + command)
        channel.send_exit_status(int(command.split()[-1]))
        channel.close()


@contextlib.contextmanager
def serving() -> Iterator[Callable[[Keys], int]]:
    """Yield what starts a server for keys and returns its port.

    It drops the first connection, as a guest that boots.
    """
    transports: list[paramiko.Transport] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept(keys: Keys) -> None:
        listener.accept()[0].close()
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transports.append(transport)
            transport.add_server_key(ssh._load(keys.host))
            transport.start_server(event=threading.Event(), server=Server(keys))

    def start(keys: Keys) -> int:
        threading.Thread(target=accept, args=(keys,), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    listener.close()
    for transport in transports:
        transport.close()
