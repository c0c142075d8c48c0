# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sockets in folders of any depth are reached."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from harness.machine.sockets import LONGEST, reach

if TYPE_CHECKING:
    from pathlib import Path

NAME = "gdb.sock"


def folder_of(tmp_path: Path, length: int) -> Path:
    """Return a new folder in which the socket's path has so many bytes."""
    folder = tmp_path
    while (left := length - len(os.fsencode(folder / NAME))) > 0:
        part = min(left - 1, 50)
        if left - 1 - part == 1:  # no name of no character is left for the next one
            part -= 1
        folder /= "d" * part
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("more", [0, 1, 60])
def test_the_path_or_the_way_into_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    folder = folder_of(tmp_path, LONGEST + more)
    assert len(os.fsencode(folder / NAME)) == LONGEST + more
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(NAME)
        server.listen()
        before, path = reach(folder, NAME)
        assert (before, path) == (("", str(folder / NAME)) if not more else (f"cd {folder} && ", NAME))
        if not before:
            monkeypatch.chdir("/")
        client.connect(path)
