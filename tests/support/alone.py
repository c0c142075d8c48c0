# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tests that need no network, no QEMU and nothing that an earlier run has built: they get none of it."""

from __future__ import annotations

import itertools
import sys
from ipaddress import ip_address
from pathlib import PurePath
from threading import Event
from typing import TYPE_CHECKING, Any

import hypothesis  # noqa: F401  # its plugin imports it at the end of each run of pytest within a test
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = "http://127.0.0.1:9"
"""A port of this host where nothing listens."""

_in_unit_test = Event()
_numbers = itertools.count()


class NotInUnitTestsError(BaseException):
    """A unit test reached out; no code that handles an ``Exception`` can hide it."""


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Stop what Python is about to do, as an audit hook."""
    if not _in_unit_test.is_set():
        return
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        if isinstance(address, tuple) and not _is_here(address[0]):
            raise NotInUnitTestsError(f"the network: {address}")
    elif event == "socket.getaddrinfo":
        if not _is_here(arguments[0]):
            raise NotInUnitTestsError(f"the network: {arguments[0]}")
    elif event in {"subprocess.Popen", "os.posix_spawn", "os.exec"}:
        for word in (arguments[0], *arguments[1]):
            if PurePath(str(word)).name.startswith("qemu-system-"):
                raise NotInUnitTestsError(f"a real QEMU: {word}")


def _is_here(host: str | None) -> bool:
    try:
        return host in {None, "localhost"} or ip_address(str(host)).is_loopback
    except ValueError:
        return False


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test, and each program that it starts, find an empty cache and reach nobody."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, NOBODY)
    for name in ("CI", "BUILD_NUMBER"):  # pytest repeats whole messages in its summary where one is set
        monkeypatch.delenv(name, raising=False)
    # Programs that tests start need not compile the harness anew, each of them.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("HARNESS_DEBIAN_MIRROR", f"{NOBODY}/debian")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path_factory.getbasetemp() / f"cache-{next(_numbers)}"))
    _in_unit_test.set()
    yield
    _in_unit_test.clear()
