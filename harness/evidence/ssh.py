# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a Debian guest said over SSH (``ssh.json`` of a record, written by ``harness.boot.ssh_session``)."""

from __future__ import annotations

import shlex

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

from harness.evidence.problems import EvidenceError

SSH_REPORT = "ssh.json"
RELEASE = "uname -r"
OS_RELEASE = "cat /etc/os-release"
IS_RUNNING = "systemctl is-system-running --wait"
LIST_FAILED = "systemctl list-units --failed --plain --no-legend"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Said(_Part):
    """A command, its exit status, and the first MiB of each output."""

    command: str
    status: int
    stdout: str
    stderr: str
    seconds: NonNegativeFloat


class SshReport(_Part):
    """``connected``: seconds since the guest was let run, -1: never; ``nonce``: what reports must repeat."""

    connected: float
    nonce: str
    said: tuple[Said, ...]

    def answer(self, command: str) -> Said:
        """Return the answer to a question; EvidenceError when the harness never put it."""
        for said in self.said:
            if said.command == command:
                return said
        raise EvidenceError(f"the guest was never asked over SSH: {command}", "it was not reached, or died")

    @property
    def os_release(self) -> dict[str, str]:
        """The fields of /etc/os-release (os-release(5))."""
        try:
            words = shlex.split(self.answer(OS_RELEASE).stdout)
        except ValueError as error:
            raise EvidenceError(f"the guest's /etc/os-release is damaged: {error}", "see ssh.json") from error
        pairs = (word.partition("=") for word in words)
        return {key: value for key, equals, value in pairs if equals}


def parse_ssh(data: bytes) -> SshReport:
    """Validate the report; EvidenceError for a missing or damaged one."""
    if not data:
        raise EvidenceError("the guest was never reached over SSH", "see the outcome of the boot")
    try:
        return SshReport.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise EvidenceError(
            f"{SSH_REPORT} is damaged: {where}: {first['msg']}", "boot the cell again"
        ) from error
