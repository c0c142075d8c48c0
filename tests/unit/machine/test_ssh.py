# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SSH: against a server of paramiko's own, and what checks make of what a guest said."""

from __future__ import annotations

import socket
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.artifacts.traits import Traits
from harness.checks.asked import checks_of
from harness.checks.debian import SNP_SELF, SSH_REACHED, STRESS_VERIFIED, SYSTEM_RUNS
from harness.evidence.actions import ActionReport
from harness.evidence.evidence import Evidence
from harness.evidence.problems import EvidenceError
from harness.evidence.record import BootRecord, Ending, EndingKind
from harness.evidence.snp_report import parse_response
from harness.evidence.ssh import IS_RUNNING, LIST_FAILED, OS_RELEASE, RELEASE, SSH_REPORT, parse_ssh
from harness.formats.json_text import write_json
from harness.machine.ssh import Keys, Ssh, SshError, forwarded_port
from harness.matrix.cell import Cell
from tests.support.expectations import FIRMWARE, KERNEL, actions_of, expected
from tests.support.ssh_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.checks.finding import Check
    from harness.machine.qmp import Monitor

NONCE = "5a" * 64
ACTION = "snp stress-ng:64:2:5"


@pytest.fixture
def serve() -> Iterator[Callable[[Keys], int]]:
    """Start a server for keys; give its port."""
    with serving() as start:
        yield start


def test_commands(serve: Callable[[Keys], int]) -> None:
    keys = Keys.generate()
    with Ssh(serve(keys), keys, seconds=10) as guest:
        said = guest.run("exit 3", 5)
        assert (said.command, said.status, said.stdout, said.stderr) == ("exit 3", 3, "said: exit 3", "")
        for command in ("hang", "trickle", "no end"):
            with pytest.raises(SshError, match=f"did not finish '{command}'"):
                guest.run(command, 0.3)
        flooded = guest.run("floods 0", 30)
        assert (flooded.status, flooded.stdout, flooded.stderr) == (0, "o" * (1 << 20), "e" * (1 << 20))


@pytest.mark.parametrize("other", ["user", "host"])
def test_keys_of_another_run(serve: Callable[[Keys], int], other: str) -> None:
    keys, stranger = Keys.generate(), Keys.generate()
    wrong = {"user": keys.user, "host": keys.host, other: getattr(stranger, other)}
    with pytest.raises(SshError, match="keys of this run"):
        Ssh(serve(keys), Keys(**wrong), seconds=10)


def test_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SshError, match=r"no SSH connection within 0\.1 s"):
        Ssh(port, Keys.generate(), seconds=0.1)


def test_port_that_qemu_chose() -> None:
    def monitor(text: str) -> Monitor:
        return cast("Monitor", SimpleNamespace(execute=lambda *_, **__: text))

    table = (
        "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port\r\n"
        "  TCP[HOST_FORWARD]  12       127.0.0.1 41239       10.0.2.15    22     0     0\r\n"
    )
    assert forwarded_port(monitor(table)) == 41239
    with pytest.raises(SshError, match="forwards no port"):
        forwarded_port(monitor(""))


def response(**fields: bytes) -> str:
    """Make a good MSG_REPORT_RSP, or one with other bytes in the fields ``at_OFFSET``."""
    report = bytearray(1184)
    report[0:4] = (2).to_bytes(4, "little")
    report[8:16] = (0x30000).to_bytes(8, "little")
    report[0x50:0x90] = bytes.fromhex(NONCE)
    report[0x90:0xC0] = bytes(range(48))
    for name, data in fields.items():
        at = int(name.removeprefix("at_"), 16)
        report[at : at + len(data)] = data
    return ((0).to_bytes(4, "little") + (1184).to_bytes(4, "little") + bytes(24) + report).hex()


STRESS = {"bogo_ops": 99, "successful": True, "unaccepted_kb": [2, 1]}
SNP: dict[str, Any] = {"sev_status": "0x7", "device": True, "errno": 0, "response": response()}
ANSWERS = {
    RELEASE: "6.12.1\n",
    OS_RELEASE: 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_CODENAME=trixie\n',
    IS_RUNNING: "running\n",
    LIST_FAILED: "",
}


CHECKS = (SSH_REACHED, SYSTEM_RUNS, STRESS_VERIFIED, SNP_SELF)


def evidence(
    folder: Path,
    answers: dict[str, str] | None = None,
    stress: dict[str, Any] | None = None,
    snp: dict[str, Any] | None = None,
    platform: str = "snp-emulated",
) -> Evidence:
    said = [
        {"command": command, "status": 0, "stdout": text, "stderr": "", "seconds": 0.5}
        for command, text in (ANSWERS | (answers or {})).items()
    ]
    write_json(folder / SSH_REPORT, {"connected": 30.5, "nonce": NONCE, "said": said})
    outcome = Ending(EndingKind.COMPLETED, "done", "", "")
    made = {"properties": [["policy", "0x30000"]]}
    spec = {"confidential": made if platform != "plain" else None}
    record = BootRecord(path=folder, cell="c", platform=platform, ending=outcome, spec=spec)
    cell = Cell("fw", "k", "direct", 4096, platform, action=ACTION, guest="debian-trixie")
    traits = Traits(FIRMWARE, replace(KERNEL, version="6.12.1"), actions=actions_of(ACTION))
    seen = Evidence(record, cell, traits)
    seen.__dict__["actions"] = (
        ActionReport("snp", 0, SNP | (snp or {})),
        ActionReport("stress-ng:64:2:5", 0, STRESS | (stress or {})),
    )
    return seen


def findings(seen: Evidence) -> list[str]:
    return [str(found) for check in CHECKS for found in check(seen)]


def test_a_good_guest(tmp_path: Path) -> None:
    def asked(**axes: Any) -> set[Check]:
        return {*CHECKS} & {*checks_of(expected(FIRMWARE, KERNEL, 4096, "snp", **axes))}

    assert asked(action=ACTION, guest="debian-trixie") == {*CHECKS}
    assert asked(guest="debian-trixie") == {SSH_REACHED, SYSTEM_RUNS}
    assert asked() == set()
    assert findings(evidence(tmp_path)) == []
    plain = evidence(tmp_path, platform="plain", snp={"sev_status": "0x0", "device": False})
    assert findings(plain) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"answers": {RELEASE: "6.1\n"}}, "over SSH the kernel is 6.1"),
        ({"answers": {OS_RELEASE: "ID=debian\nVERSION_CODENAME=sid\n"}}, "the guest is debian-sid"),
        ({"answers": {IS_RUNNING: "degraded\n", LIST_FAILED: "x.service failed"}}, "degraded\n    x.service"),
        ({"stress": {"successful": False}}, "did not verify memory: bogo operations 99, successful False"),
        ({"stress": {"bogo_ops": 0}}, "did not verify"),
        ({"snp": {"sev_status": "0x3"}}, "SEV_STATUS is 0x3"),
        ({"snp": {"device": False}}, "there is no /dev/sev-guest"),
        ({"snp": {"response": ""}}, "has 0 bytes, not 1216"),
        ({"snp": {"response": response(at_00=b"\1")}}, "has version 1"),
        ({"snp": {"response": response(at_08=b"\1")}}, "has policy 0x30001"),
        ({"snp": {"response": response(at_30=b"\1")}}, "has VMPL 1"),
        ({"snp": {"response": response(at_50=b"\0")}}, "has report data 005a"),
        ({"snp": {"response": response(at_34=b"\1")}}, "has signature algorithm 1"),
        ({"platform": "snp"}, "has signature algorithm 0"),
        ({"snp": {"response": response(at_90=bytes(48))}}, "has no measurement"),
        ({"platform": "plain"}, "a plain guest has SEV_STATUS 0x7"),
    ],
)
def test_what_is_wrong_with_a_guest(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    found = findings(evidence(tmp_path, **changed))
    assert len(found) == 1
    assert said in found[0]


def test_a_guest_that_was_never_reached(tmp_path: Path) -> None:
    seen = evidence(tmp_path)
    (tmp_path / SSH_REPORT).unlink()
    found = findings(seen)
    assert "ssh-reached: cannot be judged: the guest was never reached over SSH" in found[0]
    with pytest.raises(EvidenceError, match="is damaged"):
        parse_ssh(b"{}")
    with pytest.raises(EvidenceError, match="refused a report: status 0x16"):
        parse_response("16" + response()[2:])
