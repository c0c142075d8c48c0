# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest over SSH: keys made for one run, a loopback port that QEMU forwards, commands and what they said.

The user's public key and the guest's host key reach the guest on a small disk of their own, as a cpio
archive without a file system. systemd takes credentials from the kernel command line, from SMBIOS and fw_cfg,
but not in a confidential guest, because the host wrote them (systemd.system-credentials(7)); and what is in
the initramfs or the command line would need new images of loaders for every run. A disk works with each
loader, kernel and systemd.
"""

from __future__ import annotations

import io
import logging
import re
import select
import stat
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.errors import HarnessError
from harness.formats.cpio import CpioEntry, cpio_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from harness.machine.qmp import Monitor

T = TypeVar("T")

ADDRESS = "127.0.0.1"
USER = "root"
NETWORK = (
    *("-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:{ADDRESS}:0-:22"),
    *("-device", "virtio-net-pci,netdev=net0,disable-legacy=on,iommu_platform=on,romfile="),
)
"""The guest's only network: nothing but this port reaches it, and it reaches nothing. Port 0: a free one."""

# Its errors are raised as well; logging (of pytest, say) would show them a second time.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

_FORWARD = re.compile(r"TCP\[HOST_FORWARD\] +\d+ +127\.0\.0\.1 +(?P<port>\d+) ")
_MOST_OUTPUT = 1 << 20
_READ = 64 << 10
_QUIET_RETRY = 0.5
_LOOK_SECONDS = 0.25


class SshError(HarnessError):
    """The guest could not be reached, or a command could not be run to its end."""


@dataclass(frozen=True)
class Keys:
    """The user's and the host's private key, in OpenSSH's format."""

    user: str
    host: str

    @classmethod
    def generate(cls) -> Self:
        """Return two new keys, the host's and the user's."""
        return cls(_new_key(), _new_key())

    def disk(self) -> bytes:
        """Return what the guest unpacks over its root: its host key and who may log in."""
        private, public = stat.S_IFREG | 0o600, stat.S_IFREG | 0o644
        authorized = f"{public_line(self.user)} harness\n".encode()
        host = f"{public_line(self.host)} guest\n".encode()
        return cpio_archive(
            [
                CpioEntry("etc/ssh/ssh_host_ed25519_key", private, self.host.encode()),
                CpioEntry("etc/ssh/ssh_host_ed25519_key.pub", public, host),
                CpioEntry("root/.ssh", stat.S_IFDIR | 0o700),
                CpioEntry("root/.ssh/authorized_keys", private, authorized),
            ]
        )


def _new_key() -> str:
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_line(private: str) -> str:
    """Return the public half of a key as authorized_keys and known_hosts write it."""
    key = _load(private)
    return f"{key.get_name()} {key.get_base64()}"


def _load(private: str) -> paramiko.Ed25519Key:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(private))


def forwarded_port(monitor: Monitor) -> int:
    """Ask QEMU which port of the loopback address it forwards."""
    text = str(monitor.execute("human-monitor-command", **{"command-line": "info usernet"}))
    match = _FORWARD.search(text)
    if match is None:
        raise SshError(f"QEMU forwards no port: {text.strip()}", "was it built with user networking (slirp)?")
    return int(match["port"])


@dataclass(frozen=True)
class Said:
    """What a command said; ``seconds`` is how long it took."""

    command: str
    status: int
    stdout: str
    stderr: str
    seconds: float


class Ssh:
    """A context manager around one connection; the guest's host key must be the run's own.

    ``gone`` says why the guest has ended, "" while it lives: every wait races against it. A guest that is
    dead in a QEMU that lives would else be waited for until the time is up.
    """

    def __init__(
        self, port: int, keys: Keys, *, seconds: float, gone: Callable[[], str] = lambda: ""
    ) -> None:
        """Connect; retry for ``seconds`` while nothing answers. SshError if not, or to another host."""
        self._gone = gone
        self._worker = ThreadPoolExecutor(1, "harness-ssh")
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(paramiko.RejectPolicy())
        host = _load(keys.host)
        self._client.get_host_keys().add(f"[{ADDRESS}]:{port}", host.get_name(), host)
        try:
            self._racing(lambda: self._connect_within(port, keys, seconds))
        except BaseException:
            self.close()
            raise

    def _racing(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns; SshError as soon as the guest has ended."""
        future = self._worker.submit(work)
        while wait([future], _LOOK_SECONDS).not_done:
            if why := self._gone():
                self._client.close()  # which ends the work, too
                raise SshError(f"the guest has ended: {why}", "see the serial log")
        return future.result()

    def _connect_within(self, port: int, keys: Keys, seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while (error := self._connect(port, keys, max(5.0, give_up - time.monotonic()))) is not None:
            if time.monotonic() > give_up or self._gone():
                raise SshError(f"no SSH connection within {seconds:g} s: {error}", "see the serial log")
            time.sleep(_QUIET_RETRY)

    def _connect(self, port: int, keys: Keys, seconds: float) -> str | None:
        """Try once; return what went wrong where another try may help."""
        try:
            self._client.connect(
                ADDRESS, port, USER, pkey=_load(keys.user), look_for_keys=False, allow_agent=False,
                timeout=seconds, banner_timeout=seconds, auth_timeout=seconds,
            )  # fmt: skip
        except (paramiko.BadHostKeyException, paramiko.AuthenticationException) as error:
            raise SshError(f"the guest has not, or knows not, the keys of this run: {error}") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            return str(error) or type(error).__name__
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and what still runs over it. Idempotent."""
        self._client.close()
        self._worker.shutdown()

    def run(self, command: str, seconds: float) -> Said:
        """Run a command to its end; of each output the first MiB is kept.

        SshError when it has not ended after ``seconds``, whatever it says in the meantime, and as soon as the
        guest has ended.
        """
        return self._racing(lambda: self._run(command, seconds))

    def _run(self, command: str, seconds: float) -> Said:
        began = time.monotonic()
        try:
            _, out, _ = self._client.exec_command(command, timeout=seconds)
            with out.channel as channel:
                stdout, stderr = _outputs(channel, began + seconds)
                status = _status(channel, began + seconds)
        except (TimeoutError, OSError, EOFError, paramiko.SSHException) as error:
            why = str(error) or type(error).__name__
            raise SshError(f"the guest did not finish {command!r}: {why}", "see the serial log") from error
        texts = [text.decode(errors="replace") for text in (stdout, stderr)]
        return Said(command, status, texts[0], texts[1], round(time.monotonic() - began, 3))


def _outputs(channel: paramiko.Channel, give_up: float) -> tuple[bytes, bytes]:
    """Read stdout and stderr to their ends and keep the first of each; TimeoutError at ``give_up``.

    Both are read as they come: a command that finds one of them full waits.
    """
    out, err = bytearray(), bytearray()
    while True:
        # Asked first: what came before the end is then certainly there to be read.
        over = channel.eof_received or channel.closed
        left = give_up - time.monotonic()
        if left <= 0 and not over:
            raise TimeoutError("it still runs")
        if channel.recv_ready():
            out += channel.recv(_READ)[: _MOST_OUTPUT - len(out)]
        elif channel.recv_stderr_ready():
            err += channel.recv_stderr(_READ)[: _MOST_OUTPUT - len(err)]
        elif over:
            return bytes(out), bytes(err)
        else:
            select.select([channel], [], [], left)


def _status(channel: paramiko.Channel, give_up: float) -> int:
    """Wait for the exit status, -1 where the guest's server gives none; TimeoutError at ``give_up``."""
    if not channel.status_event.wait(max(0.0, give_up - time.monotonic())):
        raise TimeoutError("its outputs are closed, but it still runs")
    return channel.recv_exit_status()
