# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What unit tests cannot do."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys

import pytest


def test_no_host_but_this_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(BaseException, match=r"the network: \('192.0.2.1', 53\)"):
            datagrams.connect(("192.0.2.1", 53))
        with pytest.raises(BaseException, match=r"the network: \('192.0.2.1', 53\)"):
            datagrams.sendto(b"", ("192.0.2.1", 53))
    with pytest.raises(BaseException, match=r"the network: host\.example"):
        http.client.HTTPConnection("host.example").connect()
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_programs_ask_a_proxy_that_is_not_there() -> None:
    script = "import urllib.request; urllib.request.urlopen('http://192.0.2.1/')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Connection refused" in done.stderr


@pytest.mark.parametrize("words", [["qemu-system-x86_64"], ["sh", "-c", "exec $0", "/x/qemu-system-x86_64"]])
def test_no_qemu(words: list[str]) -> None:
    with pytest.raises(BaseException, match="a real QEMU"):
        subprocess.run(words, check=False)
    with pytest.raises(BaseException, match="a real QEMU"):
        os.posix_spawnp(words[0], words, {})
