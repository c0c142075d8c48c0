#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A stand-in for QEMU: same channels, same QMP greeting, and a guest that is a list of steps.

The steps are JSON in ``-append``. Before the greeting: ``{"die": [code, "words"]}``, ``{"mute": true}``.
After ``cont``: ``{"serial": text}``, ``{"debugcon": text}``, ``{"hex": bytes}`` (on serial),
``{"flood": lines}``, ``{"echo": bytes}``, ``{"sleep": seconds}``, ``{"event": [name, data]}``,
``{"log": text}``, ``{"fill": [file, bytes]}``, ``{"exit": code}``. After the
last step the guest hangs, and like QEMU it lives on when nobody is left at its channels.

A hundred tests start it, so it imports little.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ARGS = " ".join(sys.argv[1:])
STEPS = json.loads(sys.argv[sys.argv.index("-append") + 1])
FDS = {int(number): int(fd) for fd, number in re.findall(r"fd=(\d+),set=(\d+)", ARGS)}
SERIAL, SERIAL_IN, DEBUGCON = FDS[1], FDS[2], FDS[3]
ANSWERS: dict[str, Any] = {
    "query-version": {"qemu": {"major": 10, "minor": 0, "micro": 99}, "package": "fake"},
    "query-sev": {"enabled": True, "api-major": 1, "api-minor": 55, "build-id": 39},
    "query-status": {"status": "shutdown", "running": False},
    "query-memory-size-summary": {"base-memory": 1 << 20},
    "qom-list": [{"name": "validated-pages", "type": "uint64"}, {"name": "secret", "type": "string"}],
    "human-monitor-command": "RIP=0",
}
qmp = socket.socket(fileno=int(re.findall(r"socket,id=qmp,fd=(\d+)", ARGS)[0]))


def send(message: dict[str, Any]) -> None:
    qmp.sendall(json.dumps(message).encode() + b"\r\n")


def write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def flood(lines: int) -> None:
    for first in range(0, lines, 10_000):
        write(SERIAL, b"".join(b"%08d\n" % number for number in range(first, min(first + 10_000, lines))))


def event(named: list[Any]) -> None:
    name, data = named
    send({"event": name, "data": data, "timestamp": {"seconds": 1, "microseconds": 0}})


def fill(asked: list[Any]) -> None:
    name, size = asked
    with open(name, "ab") as file:  # noqa: PTH123
        for _ in range(size >> 20):
            try:
                file.write(b"line\n" * ((1 << 20) // 5) + b"\n")
                file.flush()
            except OSError as error:
                print(error, flush=True)
                return


VERBS: dict[str, Callable[[Any], object]] = {
    "serial": lambda text: write(SERIAL, text.encode()),
    "debugcon": lambda text: write(DEBUGCON, text.encode()),
    "hex": lambda text: write(SERIAL, bytes.fromhex(text)),
    "flood": flood,
    "echo": lambda count: write(SERIAL, os.read(SERIAL_IN, count)),
    "sleep": time.sleep,
    "event": event,
    "log": lambda text: print(text, flush=True),
    "fill": fill,
    "exit": os._exit,
}


def guest() -> None:
    for step in STEPS:
        ((verb, value),) = step.items()
        VERBS[verb](value)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    command = request["execute"]
    if command == "qom-get":
        if request["arguments"]["property"] == "secret":
            return {"error": {"class": "GenericError", "desc": "not readable"}}
        return {"return": 4096}
    if command == "unknown":
        return {"error": {"class": "CommandNotFound", "desc": "no such command"}}
    return {"return": ANSWERS.get(command, {})}


for first in STEPS:
    if "die" in first:
        print(first["die"][1], file=sys.stderr, flush=True)
        sys.exit(first["die"][0])
    if "mute" in first:
        time.sleep(60)
version = {"qemu": {"major": 10, "minor": 0, "micro": 99}, "package": ""}
send({"QMP": {"version": version, "capabilities": []}})
buffer = ""
while data := qmp.recv(65536):
    buffer += data.decode()
    while buffer:  # requests follow one another without separators
        try:
            asked, end = json.JSONDecoder().raw_decode(buffer)
        except ValueError:
            break
        buffer = buffer[end:].lstrip()
        send({**answer(asked), **({"id": asked["id"]} if "id" in asked else {})})
        if asked["execute"] == "cont":
            threading.Thread(target=guest, daemon=True).start()
        if asked["execute"] == "quit":
            os._exit(0)
time.sleep(120)
