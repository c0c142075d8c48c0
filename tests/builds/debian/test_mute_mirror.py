# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A mirror that takes connections and sends nothing, or stops in the middle of a file, is given up."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

from harness.debian import suite
from harness.debian.archive import AptRoot
from harness.debian.index import PackageQuery
from harness.debian.suite import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.deb_repo import Signer

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 1000


class Mute(socketserver.ThreadingTCPServer):
    """Says ``says`` to whoever connects, and then nothing until it is closed."""

    daemon_threads = True
    says = b""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.asked = 0
        super().__init__(("127.0.0.1", 0), Ask)


class Ask(socketserver.BaseRequestHandler):
    server: Mute

    def handle(self) -> None:
        self.server.asked += 1
        self.request.recv(4096)
        self.request.sendall(self.server.says)
        self.server.over.wait()


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mute]:
    monkeypatch.setattr(suite, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(suite, "_TICK", 0.2)
    monkeypatch.setattr(suite, "_MUTE", set())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Mute() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.mark.faults
@pytest.mark.parametrize("says", [b"", HALF], ids=["nothing", "half-a-file"])
def test_a_mute_mirror_is_given_up_once(mute: Mute, says: bytes, tmp_path: Path, signer: Signer) -> None:
    mute.says = says
    mirror = f"http://127.0.0.1:{mute.server_address[1]}/debian"
    apt = AptRoot(mirror, ("one", "two"), root=tmp_path, keyring=signer.keyring, progress=lambda _text: None)
    with pytest.raises(FetchError, match=rf"the mirror {mirror} sent no byte for 1 s") as caught:
        apt.resolve(PackageQuery("hello", "one"))
    assert "HARNESS_DEBIAN_MIRROR" in caught.value.hint
    asked = mute.asked
    assert asked
    with pytest.raises(FetchError, match="sent no byte"):
        apt.resolve(PackageQuery("hello", "two"))
    assert mute.asked == asked, "the other suite's index was fetched again"
