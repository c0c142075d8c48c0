# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Records that are judged, made again and carried away, whatever they came from."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from harness.cli import entry
from harness.errors import ExitCode
from harness.evidence.record import BootRecord, StoredFile
from harness.results import redact
from harness.results.record_facts import read_facts
from harness.run.replay import OWN, TRAITS
from harness.run.single.capsule import CAPSULE
from harness.store.packing import pack
from tests.support.data import DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = "debian-2025.02+debian-6.1+direct+2G+plain"
OTHER = "debian-2025.02+debian-5.10+direct+2G+snp-emulated"


@pytest.fixture(autouse=True)
def project(stand_ins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project of one's own."""
    assert stand_ins.booted == []
    (tmp_path / "harness.toml").write_text('name = "own"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def record(project: Path) -> Path:
    return shutil.copytree(DATA / "records" / GOOD, project / "there" / GOOD)


def of_a_tree(record: Path, firmware: bytes | None = None) -> Path:
    """Change a record into one of firmware that no recipe makes; return the firmware's file."""
    file = record.parent.parent / "OVMF.fd"
    traits = json.loads((record / TRAITS).read_text())
    traits["cell"] = {
        "firmware": "tree-edk2-123456", "kernel": "debian-6.1", "loader": "direct", "memory_mib": 2048,
        "platform": "plain", "vcpus": 1, "cmdline": "", "action": "", "guest": "initramfs",
    }  # fmt: skip
    (record / TRAITS).write_text(json.dumps(traits))
    index = json.loads((record / "boot.json").read_text())
    index["cell"] = GOOD.replace("debian-2025.02", "tree-edk2-123456", 1)
    content = firmware or b"firmware"
    digest = hashlib.sha256(content).hexdigest()
    index["inputs"]["firmware"] = {"sha256": digest, "size": len(content), "path": str(file), "text": None}
    (record / "boot.json").write_text(json.dumps(index))
    if firmware is not None:
        file.write_bytes(firmware)
    return file


def test_any_record_is_judged(project: Path, record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_a_tree(record)
    assert entry.main(["judge", str(record)]) == ExitCode.OK
    assert f"{GOOD}: " in capsys.readouterr().out
    shutil.copytree(DATA / "records" / OTHER, project / "there" / "run" / OTHER)
    pack(DATA / "records" / GOOD, project / "there" / "p.tar.zst")
    entry.main(["judge", "there"])
    out = capsys.readouterr().out
    heads = [line for line in out.splitlines() if " checks asked, " in line]
    assert [head.partition(":")[0] for head in heads] == [GOOD, "p", OTHER]
    (record / "boot.json").write_text("{")
    assert entry.main(["judge", str(record)]) == ExitCode.WRONG
    assert "cannot be judged: " in capsys.readouterr().out
    assert entry.main(["judge", "nothing"]) == ExitCode.MISTAKE


def test_a_boot_again(
    record: Path, stand_ins: Any, capsys: pytest.CaptureFixture[str], edit_index: Callable[..., None]
) -> None:
    assert entry.main(["repro", str(record), "--times", "2"]) == ExitCode.OK
    assert stand_ins.booted == [GOOD, GOOD]
    out = capsys.readouterr().out
    assert "boot 2: the same: completed in phase done\n2 of 2 boots came out as the record" in out
    edit_index(record, kind="guest-panic", phase="kernel")
    assert entry.main(["repro", str(record)]) == ExitCode.WRONG
    out = capsys.readouterr().out
    assert "  ending: guest-panic in phase kernel → completed in phase done\n" in out
    assert "  reaches-userspace: failed → passed\n" in out
    assert "0 of 1 boots came out as the record" in out
    assert entry.main(["repro", str(record), "--json"]) == ExitCode.WRONG
    told = json.loads(capsys.readouterr().out)
    assert (told["cell"], told["same"]) == (GOOD, 0)
    assert "reaches-userspace: failed → passed" in told["boots"][0]["changes"]


def test_what_cannot_be_had_is_named(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = of_a_tree(record)
    file.write_bytes(b"another")
    assert entry.main(["repro", str(record)]) == ExitCode.MISTAKE
    err = capsys.readouterr().err
    assert "the firmware tree-edk2-123456 cannot be rebuilt" in err
    assert hashlib.sha256(b"firmware").hexdigest() in err
    assert "--with-artifacts" in err


def test_a_capsule_is_a_record(record: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (record / "ssh-key").write_text("secret")
    assert entry.main(["pack", str(record), "-o", "c.tar.zst"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert " serial.log\n" in out
    assert "ssh-key" not in out
    assert "paths and facts of this host are inside" in out
    assert (project / "c.tar.zst").stat().st_size < 2_000_000
    assert entry.main(["pack", str(record), "-o", "c.tar.zst"]) == ExitCode.MISTAKE
    assert entry.main(["show", "c.tar.zst"]) == ExitCode.OK
    assert entry.main(["judge", "c.tar.zst"]) == ExitCode.OK
    assert entry.main(["unpack", "c.tar.zst", "-o", "again"]) == ExitCode.OK
    unpacked = project / "again"
    assert read_facts(unpacked).missing == ()
    document = json.loads((unpacked / CAPSULE).read_text())
    assert document["recipes"]["firmware"]["name"] == "debian-2025.02"
    assert any("ovmf" in key for key in document["lock"])
    assert all(len(entry["sha256"]) == 64 for entry in document["lock"].values())
    assert entry.main(["repro", "again"]) == ExitCode.OK
    assert entry.main(["unpack", "c.tar.zst", "-o", "again"]) == ExitCode.MISTAKE


@pytest.mark.parametrize("along", [True, False])
def test_artifacts_travel_when_asked(
    record: Path, project: Path, capsys: pytest.CaptureFixture[str], *, along: bool
) -> None:
    content = b"f" * (300 << 10)
    file = of_a_tree(record, content)
    option = ["--with-artifacts"] if along else []
    assert entry.main(["pack", str(record), "-o", "c.tar.zst", *option]) == ExitCode.OK
    assert ("cannot be rebuilt elsewhere: tree-edk2-123456" in capsys.readouterr().out) is not along
    file.unlink()
    assert entry.main(["unpack", "c.tar.zst"]) == ExitCode.OK
    assert ("cannot be rebuilt: tree-edk2-123456 is no recipe" in capsys.readouterr().out) is not along
    kept = project / "c/artifacts/firmware"
    assert kept.is_file() is along
    assert not along or kept.read_bytes() == content


def test_redaction(record: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = redact.Redaction.of({"examplehost": "HOST"})
    monkeypatch.setattr(redact.Redaction, "of_here", lambda: words)
    serial = (record / "serial.log").read_bytes() + b"examplehost serial: ABC1234567\r\n"
    (record / "serial.log").write_bytes(serial)
    index = json.loads((record / "boot.json").read_text())
    index["consoles"]["serial"]["bytes"] = len(serial)
    index["host"]["name"] = "examplehost"
    good = StoredFile.of(io.BytesIO(serial))
    traits = StoredFile.of(io.BytesIO((record / "traits.json").read_bytes()))
    index["files"] = {
        "serial.log": asdict(good),
        "debugcon.log": asdict(replace(good, size=1)),
        "traits.json": asdict(traits),
    }
    (record / "memory-0x0.bin").write_bytes(b"examplehost")
    (record / "boot.json").write_text(json.dumps(index))
    assert entry.main(["pack", str(record), "-o", "c.tar.zst", "--redact"]) == ExitCode.OK
    assert entry.main(["unpack", "c.tar.zst"]) == ExitCode.OK
    assert (project / "c/memory-0x0.bin").read_bytes() == b"examplehost"
    for path in (project / "c").glob("*[!n]"):
        assert b"examplehost" not in path.read_bytes()
        assert b"ABC1234567" not in path.read_bytes()
    assert BootRecord.load(project / "c").cell == GOOD
    (damaged,) = read_facts(project / "c").missing  # what was damaged before stays so, and no other is
    assert damaged.startswith("debugcon.log: has ")


def capsule_of(file: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    file.write_bytes(zstandard.compress(raw.getvalue()))


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.size = len(content)
    for field, value in fields.items():
        setattr(made, field, value)
    return made, content


HEAD = member(CAPSULE, b'{"schema": 1, "project": "ovmf-acceptance"}')


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([HEAD, member("../evil", b"x")], "leads out of the folder"),
        ([HEAD, member("/etc/evil", b"x")], "leads out of the folder"),
        ([HEAD, member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "is no regular file"),
        ([HEAD, member("hard", type=tarfile.LNKTYPE, linkname=CAPSULE)], "is no regular file"),
        ([HEAD, member("a", b"x"), member("a", b"y")], "in it twice"),
        ([member(CAPSULE, b'{"schema": 2, "project": "ovmf-acceptance"}')], "schema version 2"),
        ([member(CAPSULE, b'{"schema": 1}')], "not a capsule of ovmf-acceptance"),
        ([member(CAPSULE, b"{")], "capsule.json is damaged"),
        ([member("boot.json", b"{}")], "there is no capsule.json in it"),
        ([HEAD, member("serial.log", b"x")], "there is no boot.json in it, and so no record"),
    ],
)
def test_capsules_that_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str], members: Any, said: str
) -> None:
    capsule_of(project / "c.tar.zst", members)
    assert entry.main(["unpack", "c.tar.zst", "-o", "d/e"]) == ExitCode.MISTAKE
    assert said in capsys.readouterr().err
    assert not (project / "d").exists() or not list((project / "d").iterdir())
    assert not (project / "evil").exists()


@pytest.mark.parametrize("command", [["show"], ["judge"], ["repro"], ["ledger"], ["pack"], ["diff", "x"]])
def test_no_command_reads_a_capsule_of_another_schema(
    record: Path, project: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    capsule = member(CAPSULE, b'{"schema": 2, "project": "ovmf-acceptance", "harness": "9.0"}')
    files = [member(path.name, path.read_bytes()) for path in record.iterdir()]
    capsule_of(project / "x.tar.zst", [*files, capsule])
    code = entry.main([command[0], "x.tar.zst", *command[1:]])
    assert code == (ExitCode.WRONG if command == ["judge"] else ExitCode.MISTAKE)  # it goes on with others
    told = capsys.readouterr()
    assert "x.tar.zst: schema version 2, this harness reads 1" in told.out + told.err


def test_sizes_that_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A few kilobytes that say to be gigabytes."""
    zeros = zstandard.ZstdCompressor().compressobj()
    head = tarfile.TarInfo("big")
    head.size = 2 << 30
    data = zeros.compress(head.tobuf()) + zeros.compress(bytes(1 << 20)) + zeros.flush()
    (project / "c.tar.zst").write_bytes(data)
    assert entry.main(["unpack", "c.tar.zst"]) == ExitCode.MISTAKE
    assert "more than a packed folder may hold" in capsys.readouterr().err
    (project / "text").write_text("x")
    assert entry.main(["unpack", "text"]) == ExitCode.MISTAKE


def test_a_qemu_of_the_record_is_not_run(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traits = json.loads((record / TRAITS).read_text())
    (record / TRAITS).write_text(json.dumps({**traits, OWN: {"qemu": "file:/bin/evil"}}))
    assert entry.main(["repro", str(record)]) == ExitCode.OK
    assert "the record is of another QEMU, file:/bin/evil" in capsys.readouterr().err
